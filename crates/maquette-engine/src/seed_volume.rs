//! Seed volumes: a FAT12 image labelled `cidata`, which cloud-init's NoCloud takes as well as an
//! ISO. The same files give the same bytes.
//!
//! Its sectors are those of a CD-ROM: Linux mounts no FAT whose sectors are smaller than those of the drive, and larger ones
//! from any disk.

use std::io::{Cursor, Write};

use fatfs::{FatType, FileSystem, FormatVolumeOptions, FsOptions};
use maquette_core::seed::SeedFile;
use thiserror::Error;

/// Why a seed could not be made.
#[derive(Debug, Error)]
#[error("cannot write the seed volume")]
pub struct SeedError(#[from] std::io::Error);

/// Bytes of a sector.
const SECTOR: u16 = 2048;

/// Size of most seed volumes in bytes, those of templates among them.
pub const UNIT: u64 = 360 * 1024;

/// Size of a seed volume in bytes: the smallest multiple of 360 KiB that holds its files twice.
pub fn size(files: &[SeedFile]) -> u64 {
    let content: usize = files.iter().map(|f| f.content.reveal().len()).sum();
    UNIT * (1 + 2 * content as u64 / UNIT)
}

/// The bytes of a seed volume with these files: a FAT12 file system with sectors of 2048 bytes.
pub fn image(files: &[SeedFile]) -> Result<Vec<u8>, SeedError> {
    let mut bytes = vec![0u8; size(files) as usize];
    let options = FormatVolumeOptions::new()
        .fat_type(FatType::Fat12)
        .bytes_per_sector(SECTOR)
        .volume_label(*b"cidata     ")
        .volume_id(0x6d61_7175);
    fatfs::format_volume(Cursor::new(&mut bytes), options)?;
    {
        let mut cursor = Cursor::new(&mut bytes);
        let volume = FileSystem::new(&mut cursor, FsOptions::new().update_accessed_date(false))?;
        let root = volume.root_dir();
        for file in files {
            let mut entry = root.create_file(file.name)?;
            entry.write_all(file.content.reveal().as_bytes())?;
            #[expect(deprecated, reason = "the file's time would make every image differ")]
            {
                let epoch = fatfs::DateTime {
                    date: fatfs::Date { year: 1980, month: 1, day: 1 },
                    time: fatfs::Time { hour: 0, min: 0, sec: 0, millis: 0 },
                };
                entry.set_created(epoch);
                entry.set_modified(epoch);
            }
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use maquette_core::values::Secret;
    use std::io::Read;

    fn files() -> Vec<SeedFile> {
        ["meta-data", "user-data", "network-config"]
            .map(|name| SeedFile { name, content: Secret::new(format!("# {name}\n")) })
            .to_vec()
    }

    #[test]
    fn the_files_can_be_read_back() {
        let mut bytes = image(&files()).unwrap();
        let mut cursor = Cursor::new(&mut bytes);
        let volume = FileSystem::new(&mut cursor, FsOptions::new()).unwrap();
        assert_eq!(volume.volume_label(), "cidata");
        let mut text = String::new();
        volume.root_dir().open_file("network-config").unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "# network-config\n");
    }

    #[test]
    fn the_same_files_give_the_same_bytes() {
        assert_eq!(image(&files()).unwrap(), image(&files()).unwrap());
    }

    #[test]
    fn large_content_fits() {
        for length in [900_000, 5 << 20] {
            let content = Secret::new("x".repeat(length));
            assert!(image(&[SeedFile { name: "user-data", content }]).is_ok(), "{length}");
        }
    }

    /// "logical sector size too small for device", and "bogus number of directory entries": fs/fat/inode.c.
    #[test]
    fn linux_mounts_it_from_a_cd_rom() {
        let bytes = image(&files()).unwrap();
        let number = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        assert_eq!((number(11), number(17) % (2048 / 32), bytes.len() % 2048), (2048, 0, 0));
    }
}
