//! What libvirt and its driver are and can do.

use super::{Client, Result, join};

impl Client {
    /// What memory images depend on: versions of libvirt and QEMU, and the CPU.
    pub fn emulator(&self) -> Result<String> {
        let versions = || join(|| self.control.lib_version(), || self.control.hyp_version());
        let ((libvirt, qemu), capabilities) = join(versions, || self.control.capabilities());
        let (libvirt, qemu, capabilities) = (libvirt?, qemu?, capabilities?);
        let cpu = capabilities.split_once("<cpu>").and_then(|(_, rest)| rest.split_once("</cpu>"));
        // The frequency of its clock is measured again whenever the hypervisor starts.
        let cpu = cpu.map_or("", |(cpu, _)| cpu).lines().filter(|line| !line.contains("<counter"));
        Ok(format!("libvirt {libvirt}, QEMU {qemu}, {}", cpu.collect::<Vec<_>>().join("\n")))
    }

    /// Whether it looks for firmware and swtpm whenever it is asked. Older versions go on saying what they once found, when a
    /// package may not have been there yet.
    pub fn looks_for_firmware_again(&self) -> Result<bool> {
        const SINCE: u32 = 8_000_000;
        Ok(self.control.lib_version()? >= SINCE)
    }

    /// What the driver can do, as libvirt writes it.
    pub fn capabilities(&self) -> Result<String> {
        Ok(self.control.capabilities()?)
    }

    /// What there is for guests of a machine type, as libvirt writes it; none where the driver does not tell.
    pub fn domain_capabilities(&self, virt: &str, machine: &str) -> Option<String> {
        let (machine, virt) = (Some(machine), Some(virt));
        self.control.domain_capabilities(None, Some("x86_64"), machine, virt, 0).ok()
    }
}
