//! `--virtopts`: what becomes of each option that virt-install has.

#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

use maquette_core::observed::Observed;
use maquette_core::virtopts::{Edit, VirtOpt, VirtOpts};
use maquette_testkit::{blueprint_of, input};

/// What is asked for, in words; an error's begin with `no`.
fn becomes(text: &str) -> String {
    let options = match text.parse::<VirtOpts>() {
        Ok(options) => options,
        Err(error) => return format!("no: {error}"),
    };
    let words = options.iter().map(|option| match option {
        VirtOpt::Edit { how: Edit::Change, name, value } => format!("change {name} {value}"),
        VirtOpt::Edit { how: Edit::Add, name, value } => format!("add {name} {value}"),
        VirtOpt::Edit { how: Edit::Remove, name, value } => format!("remove {name} {value}"),
        understood => format!("{understood:?}"),
    });
    words.collect::<Vec<_>>().join("; ")
}

/// Every option of virt-install(1) and every older name that it still takes, once or more often, with the beginning of what
/// becomes of it. Nothing stands for what nodes are like anyway, or what only virt-install's own run is about.
const ALL: &[(&str, &str)] = &[
    ("--accelerate", ""),
    ("--arch i686", "no: virt-install's option `--arch`"),
    ("--arch x86_64", ""),
    ("--audio type=none,id=1", "add --audio type=none,id=1"),
    ("--autoconsole none", ""),
    ("--autoconsole text", "no: virt-install's option `--autoconsole`"),
    ("--autostart", ""),
    ("--blkiotune weight=100", "change --blkiotune weight=100"),
    ("--boot hd,menu=on", "Boot"),
    ("--boot uefi", "change --boot uefi"),
    ("--boot menu=perhaps", "change --boot menu=perhaps"),
    ("--bridge br0", "no: virt-install's option `--bridge`"),
    ("-b br0", "no: virt-install's option `--bridge`"),
    ("--cdrom x.iso", "no: virt-install's option `--cdrom`"),
    ("-c x.iso", "no: virt-install's option `--cdrom`"),
    ("--channel spicevmc", "add --channel spicevmc"),
    ("--channel unix,target_type=virtio,name=org.qemu.guest_agent.0", ""),
    ("--channel unix,target.type=virtio,target.name=org.example.0", "add --channel unix,"),
    (
        "--channel unix,target_type=virtio,name=org.qemu.guest_agent.0,source.path=/run/a",
        "add --channel unix,",
    ),
    ("--channel none", "no: virt-install's option `--channel none`"),
    ("--check all=off", ""),
    ("--check-cpu", ""),
    ("--clock offset=localtime", "change --clock offset=localtime"),
    ("--cloud-init", "no: virt-install's option `--cloud-init`"),
    ("--cloud-init root-password-generate=on", "no: virt-install's option `--cloud-init`"),
    ("--connect qemu:///system", ""),
    ("--connect test:///default", "no: virt-install's option `--connect`"),
    ("--console pty", ""),
    ("--console pty,target_type=serial", ""),
    ("--console pty,target_type=virtio", "add --console pty,target_type=virtio"),
    ("--console pty,log.file=/tmp/log", "add --console pty,log.file=/tmp/log"),
    ("--console none", "no: virt-install's option `--console none`"),
    ("--container", "no: virt-install's option `--container`"),
    ("--controller usb,model=none", "add --controller usb,model=none"),
    ("--controller none", "no: virt-install's option `--controller none`"),
    ("--cpu Haswell", "Cpu"),
    ("--cpu host-model-only", "change --cpu host-model-only"),
    ("--cpu host,-svm", "change --cpu host,-svm"),
    ("--cpuset 0-3,6", "change --vcpus cpuset=0-3,6"),
    ("--cputune shares=2", "change --cputune shares=2"),
    ("--debug", ""),
    ("-d", ""),
    ("--description 'of ours'", "change --metadata description=of ours"),
    ("--destroy-on-exit", "no: virt-install's option `--destroy-on-exit`"),
    ("--disk size=4", "no: virt-install's option `--disk`"),
    ("--dry-run", "no: virt-install's option `--dry-run`"),
    ("--events on_crash=restart", "change --events on_crash=restart"),
    ("--extra-args quiet", "no: virt-install's option `--extra-args`"),
    ("-x quiet", "no: virt-install's option `--extra-args`"),
    ("--features pmu.state=on", "Feature"),
    ("--features kvm_hidden=on", "change --features kvm_hidden=on"),
    ("--file a.img", "no: virt-install's option `--file`"),
    ("-f a.img", "no: virt-install's option `--file`"),
    ("--file-size 4", "no: virt-install's option `--file-size`"),
    ("-s 4", "no: virt-install's option `--file-size`"),
    ("--filesystem /a,/b", "add --filesystem /a,/b"),
    ("--filesystem none", ""),
    ("--force", ""),
    ("--graphics vnc", ""),
    ("--graphics type=vnc", ""),
    ("--graphics vnc,port=5901", "change --graphics port=5901,autoport=no"),
    ("--graphics vnc,keymap=de", "change --graphics keymap=de"),
    ("--graphics spice", "add --graphics spice"),
    ("--graphics spice,listen=none", "add --graphics spice,listen=none"),
    ("--graphics vnc,listen=0.0.0.0", "no: virt-install's option `--graphics`"),
    ("--graphics vnc,listens0.address=0.0.0.0", "no: virt-install's option `--graphics`"),
    ("--graphics vnc,password=x", "no: virt-install's option `--graphics`"),
    ("--graphics none", "no: virt-install's option `--graphics none`"),
    ("--help", "no: virt-install's option `--help`"),
    ("-h", "no: virt-install's option `--help`"),
    ("--host-device 1:2", "add --hostdev 1:2"),
    ("--hostdev 1:2", "add --hostdev 1:2"),
    ("--hostdev none", ""),
    ("--hvm", ""),
    ("-v", ""),
    ("--idmap uid.start=0", "no: virt-install's option `--idmap`"),
    ("--import", ""),
    ("--init /bin/sh", "no: virt-install's option `--init`"),
    ("--initrd-inject a.ks", "no: virt-install's option `--initrd-inject`"),
    ("--input tablet", "add --input tablet"),
    ("--input none", "remove --input all"),
    ("--install no_install=yes", ""),
    ("--install os=debian12", "no: virt-install's option `--install`"),
    ("--iommu model=intel", "add --iommu model=intel"),
    ("--iothreads 2", "IoThreads(2)"),
    ("--iothreads iothreads=2", "change --iothreads iothreads=2"),
    ("--keymap de", "change --graphics keymap=de"),
    ("-k de", "change --graphics keymap=de"),
    ("--keywrap name=aes", "change --keywrap name=aes"),
    ("--launchSecurity sev", "change --launchSecurity sev"),
    ("--launchsecurity sev", "change --launchSecurity sev"),
    ("--livecd", "no: virt-install's option `--livecd`"),
    ("--location http://x", "no: virt-install's option `--location`"),
    ("-l http://x", "no: virt-install's option `--location`"),
    ("--mac 52:54:00:00:00:01", "no: virt-install's option `--mac`"),
    ("-m 52:54:00:00:00:01", "no: virt-install's option `--mac`"),
    ("--machine q35", "Machine"),
    ("--memballoon none", "Balloon(\"none\")"),
    ("--memballoon default", "add --memballoon default"),
    ("--memballoon virtio,autodeflate=on", "add --memballoon virtio,autodeflate=on"),
    ("--memdev dimm,target.size=1024", "add --memdev dimm,target.size=1024"),
    ("--memory 4096", "no: virt-install's option `--memory`"),
    ("--memorybacking hugepages=on", "Memory([\"hugepages\"])"),
    (
        "--memorybacking hugepages=on,access.mode=shared",
        "change --memorybacking hugepages=on,access.mode=shared",
    ),
    ("--memorybacking source.type=memfd", "change --memorybacking source.type=memfd"),
    ("--memtune hard_limit=4096", "change --memtune hard_limit=4096"),
    ("--metadata title=mine", "change --metadata title=mine"),
    ("--metadata name=mine", "no: virt-install's option `--metadata`"),
    ("--name mine", "no: virt-install's option `--name`"),
    ("-n mine", "no: virt-install's option `--name`"),
    ("--network none", "no: virt-install's option `--network`"),
    ("-w bridge=br0", "no: virt-install's option `--network`"),
    ("-wbridge=br0", "no: virt-install's option `--network`"),
    ("--noacpi", "Feature(\"acpi\", false)"),
    ("--noapic", "Feature(\"apic\", false)"),
    ("--noautoconsole", ""),
    ("--nodisks", "no: virt-install's option `--nodisks`"),
    ("--nographics", "no: virt-install's option `--graphics none`"),
    ("--nonetworks", "no: virt-install's option `--nonetworks`"),
    ("--nonsparse", "no: virt-install's option `--nonsparse`"),
    ("--noreboot", ""),
    ("--numatune 0", "change --numatune 0"),
    ("--os-type linux", ""),
    ("--os-variant win10", "System(OsVariant(\"win10\"))"),
    ("--osinfo detect=on,require=off", ""),
    ("--osinfo detect=on,name=rhel9.2", "System(OsVariant(\"rhel9.2\"))"),
    ("--osinfo none", ""),
    ("--osinfo rehl9", "no: `rehl9`"),
    ("--panic default", "add --panic default"),
    ("--parallel pty", "add --parallel pty"),
    ("--paravirt", "no: virt-install's option `--paravirt`"),
    ("-p", "no: virt-install's option `--paravirt`"),
    ("--pm suspend_to_mem=on", "change --pm suspend_to_mem=on"),
    ("--print-step 1", "no: virt-install's option `--print-step`"),
    ("--print-xml", "no: virt-install's option `--print-xml`"),
    ("--prompt", ""),
    ("--pstore backend=acpi-erst,size=8", "add --pstore backend=acpi-erst,size=8"),
    ("--pxe", "no: virt-install's option `--pxe`"),
    ("--qemu-commandline='-device edu'", "Qemu([\"-device\", \"edu\"])"),
    ("--qemu-commandline=args='-device edu'", "Qemu([\"-device\", \"edu\"])"),
    ("--qemu-commandline env=DISPLAY=:0.1", "change --qemu-commandline env=DISPLAY=:0.1"),
    ("--quiet", ""),
    ("-q", ""),
    ("--ram 4096", "no: virt-install's option `--ram`"),
    ("-r 4096", "no: virt-install's option `--ram`"),
    ("--redirdev usb,type=spicevmc", "add --redirdev usb,type=spicevmc"),
    ("--reinstall mine", "no: virt-install's option `--reinstall`"),
    ("--resource /machine", "change --resource /machine"),
    ("--rng /dev/urandom", ""),
    ("--rng /dev/random", "change --rng /dev/random"),
    ("--rng /dev/urandom,rate.bytes=1024", "change --rng /dev/urandom,rate.bytes=1024"),
    ("--rng /dev/random --rng /dev/hwrng", "change --rng /dev/random; add --rng /dev/hwrng"),
    ("--rng none", "remove --rng all"),
    ("--sdl", "add --graphics sdl"),
    ("--seclabel type=none", "add --seclabel type=none"),
    ("--security type=none", "add --seclabel type=none"),
    ("--serial pty", ""),
    ("--serial tcp,host=:2222", "add --serial tcp,host=:2222"),
    ("--serial pty,log.file=/tmp/log", "add --serial pty,log.file=/tmp/log"),
    ("--serial none", "no: virt-install's option `--serial none`"),
    ("--shmem name=a", "add --shmem name=a"),
    ("--smartcard mode=passthrough", "add --smartcard mode=passthrough"),
    ("--sound ich9", "Sound(\"ich9\")"),
    ("--sound", "add --sound default"),
    ("--sound --hvm", "add --sound default"),
    ("--soundhw ac97", "Sound(\"ac97\")"),
    ("--sysinfo host", "change --sysinfo host"),
    ("--test-media-detection http://x", "no: virt-install's option `--test-media-detection`"),
    ("--test-stub-command", "no: virt-install's option `--test-stub-command`"),
    ("--tpm emulator", "Tpm"),
    ("--tpm /dev/tpm0", "add --tpm /dev/tpm0"),
    ("--tpm none", ""),
    ("--transient", "no: virt-install's option `--transient`"),
    ("--unattended", "no: virt-install's option `--unattended`"),
    ("--uuid 1-2", "no: virt-install's option `--uuid`"),
    ("-u 1-2", "no: virt-install's option `--uuid`"),
    ("--vcpus 4", "no: `--vcpus` with a number"),
    ("--vcpus sockets=2,vcpus=4", "no: `--vcpus` with a number"),
    ("--vcpus sockets=2,cores=2", "change --vcpus sockets=2,cores=2"),
    ("--version", "no: virt-install's option `--version`"),
    ("--video qxl", "Video(\"qxl\")"),
    ("--video virtio --video qxl", "Video(\"virtio\"); add --video qxl"),
    ("--video qxl,vram=65536", "change --video qxl,vram=65536"),
    ("--virt-type kvm", "no: virt-install's option `--virt-type`"),
    ("--vnc", ""),
    ("--vnclisten 0.0.0.0", "no: virt-install's option `--graphics`"),
    ("--vncport 5901", "change --graphics port=5901,autoport=no"),
    ("--vsock cid.auto=yes", "add --vsock cid.auto=yes"),
    ("--wait", ""),
    ("--wait -1", ""),
    ("--wait --hvm", ""),
    ("--watchdog default", "Watchdog"),
    ("--watchdog none", ""),
    ("--xml ./genid=x", "change --xml ./genid=x"),
];

#[test]
fn every_option_of_virt_install_has_its_effect_or_is_refused_by_name() {
    for (text, expected) in ALL {
        let found = becomes(text);
        match expected.is_empty() {
            true => assert_eq!(found, "", "{text}"),
            false => assert!(found.starts_with(expected), "{text}: {found}"),
        }
    }
}

/// As virt-install takes them.
#[test]
fn names_may_be_cut_short_while_only_one_begins_so() {
    assert_eq!(becomes("--graph spice"), "add --graphics spice");
    assert_eq!(becomes("--watch=default"), becomes("--watchdog default"));
    assert!(becomes("--vnc").is_empty());
    for (text, said) in [
        ("--me 4", "no: `--me` may be any of"),
        ("--gragihcs vnc", "no: virt-install has no option"),
        ("--", "no: virt-install has no option `--`"),
        ("vnc", "no: virt-install has no option `vnc`"),
        ("-", "no: virt-install has no option `-`"),
        ("-ä", "no: virt-install has no option `-ä`"),
        ("--hvm=yes", "no: `--hvm` takes no value"),
        ("--cpu --hvm", "no: `--cpu` lacks a value"),
        ("--cpu", "no: `--cpu` lacks a value"),
    ] {
        let found = becomes(text);
        assert!(found.starts_with(said), "{text}: {found}");
    }
}

/// As with virt-install, which reads all and keeps what the last one says.
#[test]
fn the_last_of_several_counts() {
    let options: VirtOpts = "--cpu Haswell --machine pc --cpu host --machine q35".parse().unwrap();
    assert_eq!(options.cpu().unwrap().as_str(), "host-passthrough");
    assert_eq!(options.machine().unwrap().as_str(), "q35");
}

#[test]
fn the_system_that_is_named_decides_on_models_of_nics() {
    for (text, model) in
        [("", "virtio"), ("--os-variant win10", "e1000"), ("--osinfo rhel9.2", "virtio")]
    {
        let mut wanted = input(&[("controller", 1)], "3_nets", &[]);
        wanted.request.settings.virtopts = text.parse().unwrap();
        let blueprint = blueprint_of(&wanted, &Observed::default());
        let interfaces = &blueprint.nodes[0].interfaces;
        assert!(!interfaces.is_empty() && interfaces.iter().all(|i| i.model == model), "{text}");
    }
}
