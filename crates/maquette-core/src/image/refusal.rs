//! Why a file is not taken as an image.

use thiserror::Error;

/// Why a file is not an image that can be used.
#[derive(Debug, Clone, Copy, Error, PartialEq, Eq)]
pub enum NotAnImage {
    /// A file without content.
    #[error("it is empty")]
    Empty,
    /// Something else, with QEMU's name of its format where QEMU can convert it.
    #[error("it is {0}")]
    Other(&'static str, Option<&'static str>),
    /// A packed file that this does not unpack, with the program that does.
    #[error("it is packed with {0}")]
    Packed(&'static str),
    /// It is incomplete without another file, which would be one of the hypervisor.
    #[error("it refers to another file: it has {0}")]
    Refers(&'static str),
    /// It cannot be read without a key.
    #[error("it is encrypted")]
    Encrypted,
    /// A qcow2 file that makes no sense.
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
    /// A qcow2 file that needs more than is known.
    #[error("it needs {0}")]
    Needs(&'static str),
    /// Nothing that a disk would begin with.
    #[error(
        "nothing in it is what a disk begins with: no partition table, boot sector or file system"
    )]
    Unknown,
    /// A disk's beginning, and too little behind it.
    #[error("it is shorter than any disk")]
    Short,
}

impl NotAnImage {
    /// What to do about it.
    pub fn hint(self) -> String {
        match self {
            Self::Other(_, Some(format)) => format!(
                "convert it where it can be trusted: `qemu-img convert -f {format} -O qcow2 IMAGE IMAGE.qcow2`"
            ),
            Self::Refers(_) => "flatten it where it was made: \
                 `qemu-img convert -f qcow2 -O qcow2 IMAGE FLAT.qcow2`"
                .into(),
            Self::Packed(program) => format!("unpack it with `{program}` first"),
            Self::Encrypted => "write an image of it that is not encrypted".into(),
            Self::Damaged(_) | Self::Empty => "fetch it again, or make a new one".into(),
            Self::Needs(_) => "`qemu-img convert -f qcow2 -O qcow2 IMAGE PLAIN.qcow2` writes a \
                 plain one"
                .into(),
            Self::Unknown | Self::Short => "if it is the content of a disk nevertheless: \
                 `qemu-img convert -f raw -O qcow2 IMAGE IMAGE.qcow2`"
                .into(),
            Self::Other(..) => {
                "give the path or the address of an image in qcow2 or raw format".into()
            }
        }
    }
}
