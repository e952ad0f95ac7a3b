//! Which options ask for firmware or for a TPM that not every hypervisor has.

use super::VirtOpt;

impl VirtOpt {
    /// Whether guests start with UEFI by it.
    pub fn asks_for_uefi(&self) -> bool {
        let words = |part: (&str, &str)| matches!(part, ("uefi", "") | ("firmware", "efi"));
        self.pairs_for("--boot").into_iter().any(words) || self.asks_for_secure_boot()
    }

    /// Whether their firmware is to be one with Secure Boot.
    pub fn asks_for_secure_boot(&self) -> bool {
        let parts = self.pairs_for("--boot");
        let secure = |(key, value): &(&str, &str)| {
            matches!(*key, "loader_secure" | "loader.secure") && is_on(value)
        };
        let enabled = |(key, value): &(&str, &str)| {
            let feature = key.strip_suffix(".name").filter(|_| *value == "secure-boot");
            let feature = feature.filter(|of| of.starts_with("firmware.feature"));
            feature.is_some_and(|of| {
                let state = format!("{of}.enabled");
                parts.iter().any(|(key, value)| *key == state && is_on(value))
            })
        };
        parts.iter().any(secure) || parts.iter().any(enabled)
    }

    /// Whether guests have a TPM by it that a program of the hypervisor's emulates.
    pub fn asks_for_emulated_tpm(&self) -> bool {
        let emulator = |part: (&str, &str)| {
            matches!(part, ("emulator", "") | ("type" | "backend.type", "emulator"))
        };
        matches!(self, Self::Tpm(..)) || self.pairs_for("--tpm").into_iter().any(emulator)
    }

    /// Keys and values of what `virt-xml` is to make of an option.
    fn pairs_for(&self, option: &str) -> Vec<(&str, &str)> {
        match self {
            Self::Edit { name, value, .. } if name == option => {
                value.split(',').map(|part| part.split_once('=').unwrap_or((part, ""))).collect()
            }
            _ => Vec::new(),
        }
    }
}

fn is_on(value: &str) -> bool {
    matches!(value, "yes" | "on" | "true" | "1")
}

#[cfg(test)]
mod tests {
    use super::super::parse;

    #[test]
    fn options_for_firmware_and_tpm_are_known_in_every_form() {
        for (text, uefi, secure, tpm) in [
            ("--boot uefi", true, false, false),
            ("--boot uefi,menu=on", true, false, false),
            ("--boot firmware=efi", true, false, false),
            ("--boot firmware=efi,loader.secure=no", true, false, false),
            ("--boot uefi,loader_secure=yes", true, true, false),
            (
                "--boot firmware=efi,firmware.feature0.name=secure-boot,firmware.feature0.enabled=yes",
                true,
                true,
                false,
            ),
            (
                "--boot firmware=efi,firmware.feature0.name=secure-boot,firmware.feature0.enabled=no",
                true,
                false,
                false,
            ),
            ("--boot hd,network", false, false, false),
            ("--boot useserial=on", false, false, false),
            ("--tpm default", false, false, true),
            ("--tpm emulator,persistent_state=on", false, false, true),
            ("--tpm backend.type=emulator,backend.active_pcr_banks.sha256=on", false, false, true),
            ("--tpm passthrough", false, false, false),
            ("--tpm none", false, false, false),
        ] {
            let all = parse(text).unwrap();
            let any = |of: fn(&super::VirtOpt) -> bool| all.iter().any(of);
            let found = (
                any(super::VirtOpt::asks_for_uefi),
                any(super::VirtOpt::asks_for_secure_boot),
                any(super::VirtOpt::asks_for_emulated_tpm),
            );
            assert_eq!(found, (uefi, secure, tpm), "{text}: {all:?}");
        }
    }
}
