//! Further certificate authorities for downloads.

use maquette_core::image::redact;
use maquette_engine::StepError;

use crate::failure::Failure;
use crate::world::Terminal;

/// Reads further certificate authorities: files here, and addresses. `called` is what the user knows the setting as.
pub fn authorities(
    terminal: &Terminal,
    called: &str,
    words: &[String],
) -> Result<Option<String>, Failure> {
    let mut all = String::new();
    for word in words {
        let text = if word.contains("://") {
            if !word.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://")) {
                let word = redact(word);
                terminal.talk(&format!(
                    "warning: `{word}`, which {called} names, comes without encryption: whoever is in between can vouch for any \
                     download; name a file, or an address with https"
                ));
            }
            let most = 16 << 20;
            let content = maquette_engine::download(word, &["https", "http"], most)?;
            String::from_utf8_lossy(&content).into_owned()
        } else {
            crate::reading::text(word).map_err(|e| {
                Failure::because(format!("cannot read `{word}`, which {called} names"), e)
            })?
        };
        if !text.contains("-----BEGIN CERTIFICATE-----") {
            let message =
                format!("`{word}`, which {called} names, does not hold a certificate in PEM");
            return Err(Failure::Failed(StepError::new(message)));
        }
        all.push_str(text.trim_end());
        all.push('\n');
    }
    Ok((!all.is_empty()).then_some(all))
}
