//! What BMCs of the model answer.

use maquette_engine::host::Output;

use crate::Machine;

/// Does what a BMC is told: `bmc tell DIRECTORY NODE WORD…`. What a node boots from is forgotten at once.
pub(crate) fn told(machine: &mut Machine, args: &[String]) -> Output {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let [_, _, _, node, words @ ..] = words.as_slice() else { return Output::default() };
    let Some(domain) = machine.seen.domains.get_mut(*node) else {
        let stderr = format!("error: the BMC did not do it\n  `{node}` has no BMC here\n");
        return Output { status: Some(1), stdout: String::new(), stderr };
    };
    match words {
        ["power", "off" | "soft"] => (domain.active, domain.live) = (false, None),
        ["power", _] => {
            domain.active = true;
            domain.live.get_or_insert_with(|| domain.defined.clone());
        }
        _ => {}
    }
    let boot = match words {
        ["boot", device, how, _] if *device != "none" => format!("{device} {how}"),
        _ => "none -".into(),
    };
    let power = if domain.active { "on" } else { "off" };
    Output { status: Some(0), stdout: format!("{power} {boot}\n"), stderr: String::new() }
}
