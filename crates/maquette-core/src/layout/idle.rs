//! Keys that Maquette reads and has nothing to do with, told once for a whole layout.

use crate::decode::quoted_list;
use crate::diagnostic::{Diagnostic, Diagnostics, WITHOUT_EFFECT};
use crate::syntax::Span;

/// What was found so far: keys, why they have no effect, and where each stands first.
#[derive(Debug, Default)]
pub(super) struct Idle(Vec<(String, &'static str, Span)>);

impl Idle {
    /// Notes a key.
    pub fn note(&mut self, key: &str, why: &'static str, span: Span) {
        if !self.0.iter().any(|(known, reason, _)| known == key && *reason == why) {
            self.0.push((key.into(), why, span));
        }
    }

    /// One remark for all of them.
    pub fn tell(self, diags: &mut Diagnostics) {
        let Some((first, _, span)) = self.0.first() else { return };
        let message = match self.0.len() {
            1 => format!("`{first}` has no effect"),
            many => format!("{many} keys of this layout have no effect"),
        };
        let remark = Diagnostic::warning(WITHOUT_EFFECT, message).at(*span, "");
        let mut reasons: Vec<(&str, Vec<String>)> = Vec::new();
        for (key, why, _) in &self.0 {
            match reasons.iter_mut().find(|(known, _)| known == why) {
                Some((_, keys)) => keys.push(key.clone()),
                None => reasons.push((why, vec![key.clone()])),
            }
        }
        let told = reasons.iter().map(|(why, keys)| format!("{}: {why}", quoted_list(keys)));
        diags.push(told.fold(remark, Diagnostic::help));
    }
}
