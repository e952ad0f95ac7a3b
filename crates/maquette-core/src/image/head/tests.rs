use proptest::prelude::*;

use super::*;

/// A header as `qemu-img create -f qcow2 … 1G` writes it.
fn qcow2() -> Vec<u8> {
    let mut head = vec![0u8; 4096];
    head[..8].copy_from_slice(b"QFI\xfb\0\0\0\x03");
    put32(&mut head, 20, 16);
    put64(&mut head, 24, 1 << 30);
    put32(&mut head, 36, 2);
    put64(&mut head, 40, 0x30000);
    put64(&mut head, 48, 0x10000);
    put32(&mut head, 56, 1);
    put32(&mut head, 96, 4);
    put32(&mut head, 100, 112);
    head
}

fn put32(head: &mut [u8], at: usize, value: u32) {
    head[at..at + 4].copy_from_slice(&value.to_be_bytes());
}

fn put64(head: &mut [u8], at: usize, value: u64) {
    head[at..at + 8].copy_from_slice(&value.to_be_bytes());
}

const LEN: u64 = 0x30010;

#[test]
fn a_plain_qcow2_is_taken() {
    assert_eq!(inspect(&qcow2(), LEN), Ok(Format::Qcow2 { size: 1 << 30 }));
    let mut old = qcow2();
    put32(&mut old, 4, 2);
    assert_eq!(inspect(&old[..72], LEN), Ok(Format::Qcow2 { size: 1 << 30 }));
}

#[test]
fn a_qcow2_that_names_other_files_is_refused() {
    let mut backed = qcow2();
    put64(&mut backed, 8, 0x200);
    put32(&mut backed, 16, 11);
    assert_eq!(inspect(&backed, LEN), Err(NotAnImage::Refers("a backing file")));
    // Version 2 knows no features, and a backing file all the same.
    put32(&mut backed, 4, 2);
    assert_eq!(inspect(&backed, LEN), Err(NotAnImage::Refers("a backing file")));
    // A length without a place.
    let mut half = qcow2();
    put32(&mut half, 16, 11);
    assert_eq!(inspect(&half, LEN), Err(NotAnImage::Refers("a backing file")));
    let mut data = qcow2();
    put64(&mut data, 72, 1 << 2);
    assert_eq!(inspect(&data, LEN), Err(NotAnImage::Refers("an external data file")));
    // Two reasons: the one that matters is told.
    put64(&mut data, 72, 1 << 2 | 1 << 40);
    assert_eq!(inspect(&data, LEN), Err(NotAnImage::Refers("an external data file")));
}

#[test]
fn a_qcow2_that_is_encrypted_unknown_or_senseless_is_refused() {
    let cases: [(&str, usize, &[u8]); 14] = [
        ("encrypted", 32, &[0, 0, 0, 1]),
        ("encrypted", 32, &[0, 0, 0, 2]),
        ("marked as corrupt", 72, &[0, 0, 0, 0, 0, 0, 0, 2]),
        ("feature of qcow2", 72, &[0, 0, 0, 0, 0, 0, 0, 0x20]),
        ("feature of qcow2", 72, &[0x80, 0, 0, 0, 0, 0, 0, 0]),
        ("compression", 72, &[0, 0, 0, 0, 0, 0, 0, 8]),
        ("cluster size", 20, &[0, 0, 0, 8]),
        ("cluster size", 20, &[0, 0, 0, 40]),
        ("virtual size", 24, &[0, 0, 0, 0, 0, 0, 0, 0]),
        ("virtual size", 24, &[0xff; 8]),
        ("header length", 100, &[0, 0, 0, 72]),
        ("first table", 36, &[0, 0, 0, 1]),
        ("width", 96, &[0, 0, 0, 7]),
        ("version of qcow2", 4, &[0, 0, 0, 4]),
    ];
    for (says, at, bytes) in cases {
        let mut head = qcow2();
        head[at..at + bytes.len()].copy_from_slice(bytes);
        let error = inspect(&head, LEN).unwrap_err();
        assert!(error.to_string().contains(says), "{says}: {error}");
    }
    let cut = inspect(&qcow2(), LEN - 1).unwrap_err();
    assert!(cut.to_string().contains("cut off"), "{cut}");
    let within = inspect(&qcow2()[..60], 60).unwrap_err();
    assert!(within.to_string().contains("damaged"), "{within}");
    let old = inspect(b"QFI\xfb\0\0\0\x01", LEN).unwrap_err();
    assert!(old.hint().contains("-f qcow -O qcow2"), "{old}");
}

/// A description that makes QEMU read any file of the machine that converts it.
const VMDK: &str = "# Disk DescriptorFile\nversion=1\ncreateType=\"monolithicFlat\"\n\
                    RW 4096 FLAT \"/etc/shadow\" 0\n";

#[test]
fn everything_else_is_called_what_it_is() {
    let mut vdi = vec![0u8; 0x100];
    vdi[0x40..0x44].copy_from_slice(&[0x7f, 0x10, 0xda, 0xbe]);
    let mut tar = vec![b'a'; 512];
    tar[257..262].copy_from_slice(b"ustar");
    let cases: [(&[u8], &str, &str); 33] = [
        (VMDK.as_bytes(), "description of a VMDK", "-f vmdk -O qcow2"),
        (b"encoding=x\ncreateType=y\n", "description of a VMDK", "-f vmdk -O qcow2"),
        (b"KDMV\x01", "VMDK", "convert -f vmdk -O qcow2"),
        (b"COWD\x01", "VMDK", "convert -f vmdk -O qcow2"),
        (b"vhdxfile", "VHDX", "-f vhdx"),
        (b"conectix", "VHD", "-f vpc"),
        (&vdi, "VDI", "-f vdi"),
        (b"QED\0", "QED", "-f qed"),
        (b"WithouFreSpacExt", "Parallels", "-f parallels"),
        (b"WithoutFreeSpace", "Parallels", "-f parallels"),
        (b"Bochs Virtual HD Image", "Bochs", "-f bochs"),
        (b"LUKS\xba\xbe", "encrypted", "not encrypted"),
        (b"BZh9", "packed with bunzip2", "unpack"),
        (b"PK\x03\x04", "unzip", "unpack"),
        (b"PK\x05\x06", "unzip", "unpack"),
        (b"7z\xbc\xaf\x27\x1c", "7z x", "unpack"),
        (b"Rar!", "unrar", "unpack"),
        (b"\x04\x22\x4d\x18", "unlz4", "unpack"),
        (b"LZIP", "lzip -d", "unpack"),
        (b"%PDF-1.7", "PDF", "qcow2 or raw"),
        (b"\xed\xab\xee\xdb", "RPM", "qcow2 or raw"),
        (b"!<arch>\n", "Debian package", "qcow2 or raw"),
        (&tar, "tar archive", "qcow2 or raw"),
        (b"\x7fELF\x02", "ELF", "qcow2 or raw"),
        (b"<!DOCTYPE html><html>", "web page", "qcow2 or raw"),
        (b"\n\n<html><title>404", "web page", "qcow2 or raw"),
        (b"<?xml version='1.0'?>", "XML", "qcow2 or raw"),
        (b"{\"error\": 404}", "JSON", "qcow2 or raw"),
        (b"name: x\n", "text file", "qcow2 or raw"),
        (b"#!/bin/sh\n", "script", "qcow2 or raw"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS", "qcow2 or raw"),
        (&[0; 512], "blank", "-f raw"),
        (&[0x5a, 1, 2, 3], "nothing in it", "-f raw -O qcow2"),
    ];
    for (head, says, hint) in cases {
        let error = inspect(head, 1 << 30).unwrap_err();
        assert!(error.to_string().contains(says), "{says}: {error}");
        assert!(error.hint().contains(hint), "{says}: {}", error.hint());
    }
    assert_eq!(inspect(b"", 0), Err(NotAnImage::Empty));
}

/// QEMU reads a description up to its version, whatever is in its comments and after it.
#[test]
fn a_description_that_ends_like_a_boot_sector_is_none_the_less_one() {
    for begin in
        [&b"# Disk"[..], b"#\0\xff\nversion=1\n", b" \r\n\n# x\nversion=1\n", VMDK.as_bytes()]
    {
        let mut head = vec![0u8; 4096];
        head[..begin.len()].copy_from_slice(begin);
        head[510..512].copy_from_slice(&[0x55, 0xaa]);
        let error = inspect(&head, 1 << 30).unwrap_err();
        assert!(error.to_string().contains("description of a VMDK"), "{begin:?}: {error}");
    }
}

#[test]
fn disks_and_packed_files_are_taken() {
    for (at, magic) in [
        (510, &[0x55, 0xaa][..]),
        (512, b"EFI PART"),
        (1080, &[0x53, 0xef]),
        (0, b"XFSB"),
        (0x10040, b"_BHRfS_M"),
        (0x8001, b"CD001"),
    ] {
        let mut head = vec![0u8; HEAD];
        head[at..at + magic.len()].copy_from_slice(magic);
        assert_eq!(inspect(&head, 1 << 20), Ok(Format::Raw));
        assert_eq!(inspect(&head, (1 << 20) - 1), Err(NotAnImage::Short));
    }
    let packed = |head: &[u8]| inspect(head, 100).unwrap();
    assert_eq!(packed(b"\x1f\x8b\x08"), Format::Compressed(Compression::Gzip));
    assert_eq!(packed(b"\xfd7zXZ\0"), Format::Compressed(Compression::Xz));
    assert_eq!(packed(b"\x28\xb5\x2f\xfd"), Format::Compressed(Compression::Zstd));
}

proptest! {
    /// Whatever the bytes are, there is an answer; and a qcow2 that names a backing file is never it.
    #[test]
    fn any_bytes_have_an_answer(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..300),
        magic in 0usize..4,
        len in any::<u64>(),
    ) {
        let magics: [&[u8]; 4] = [b"", b"QFI\xfb\0\0\0\x03", b"QFI\xfb\0\0\0\x02", b"QFI\xfb"];
        let magic = magics[magic];
        if bytes.len() >= magic.len() {
            bytes[..magic.len()].copy_from_slice(magic);
        }
        if let Ok(Format::Qcow2 { .. }) = inspect(&bytes, len) {
            prop_assert!(bytes[8..20].iter().all(|b| *b == 0) && bytes[32..36] == [0; 4]);
        }
    }
}
