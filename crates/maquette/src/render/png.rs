//! Pictures of screens as PNG files. Hypervisors hand them over as PNG, or as PPM, which few programs open.

use std::io::Write;

use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};

const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// A picture as a PNG file, from a PNG file or a PPM file; none if it is neither.
pub fn png(picture: &[u8]) -> Option<Vec<u8>> {
    if picture.starts_with(SIGNATURE) {
        return Some(picture.to_vec());
    }
    let (width, height, pixels) = ppm(picture)?;
    let line = usize::try_from(width).ok()?.checked_mul(3)?;
    let whole = line.checked_mul(usize::try_from(height).ok()?)?;
    let pixels = pixels.get(..whole).filter(|_| whole > 0)?;
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::default());
    for line in pixels.chunks(line) {
        // Each line begins with its filter: none.
        packed.write_all(&[0]).and_then(|()| packed.write_all(line)).ok()?;
    }
    let mut header = [width.to_be_bytes(), height.to_be_bytes()].concat();
    // Eight bits, colours without transparency, the only methods that there are, not interlaced.
    header.extend([8, 2, 0, 0, 0]);
    let mut out = SIGNATURE.to_vec();
    chunk(&mut out, b"IHDR", &header)?;
    chunk(&mut out, b"IDAT", &packed.finish().ok()?)?;
    chunk(&mut out, b"IEND", &[])?;
    Some(out)
}

fn chunk(out: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) -> Option<()> {
    let mut sum = Crc::new();
    sum.update(kind);
    sum.update(data);
    out.extend(u32::try_from(data.len()).ok()?.to_be_bytes());
    out.extend(kind);
    out.extend(data);
    out.extend(sum.sum().to_be_bytes());
    Some(())
}

/// Width, height and pixels of a binary PPM file with eight bits a colour.
fn ppm(picture: &[u8]) -> Option<(u32, u32, &[u8])> {
    let mut rest = picture.strip_prefix(b"P6")?;
    let mut numbers = [0u32; 3];
    for number in &mut numbers {
        loop {
            rest = rest.trim_ascii_start();
            let Some(comment) = rest.strip_prefix(b"#") else { break };
            rest = &comment[comment.iter().position(|byte| *byte == b'\n')?..];
        }
        let end = rest.iter().position(|byte| !byte.is_ascii_digit())?;
        *number = std::str::from_utf8(&rest[..end]).ok()?.parse().ok()?;
        rest = &rest[end..];
    }
    let [width, height, most] = numbers;
    // One blank stands before the pixels.
    (most == 255).then_some((width, height, rest.get(1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ppm_file_becomes_a_png_file() {
        let made = png(b"P6\n# by QEMU\n2 1\n255\n\xff\0\0\0\xff\0").unwrap();
        assert!(made.starts_with(SIGNATURE));
        assert_eq!(
            made[8..33],
            *b"\0\0\0\x0dIHDR\0\0\0\x02\0\0\0\x01\x08\x02\0\0\0\x7b\x40\xe8\xdd"
        );
        assert!(made.ends_with(b"\0\0\0\0IEND\xae\x42\x60\x82"));
        let packed = &made[41..made.len() - 16];
        let mut pixels = Vec::new();
        let mut reader = flate2::read::ZlibDecoder::new(packed);
        std::io::Read::read_to_end(&mut reader, &mut pixels).unwrap();
        assert_eq!(pixels, b"\0\xff\0\0\0\xff\0");
        assert_eq!(png(&made).unwrap(), made);
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        for text in [
            &b""[..],
            b"P6",
            b"P6 2 1 255 ab",
            b"P6 0 0 255 ",
            b"P5 1 1 255 aaa",
            b"P6 1 1 65535 aaaaaa",
            b"P6 4294967295 4294967295 255 a",
            b"P6 # ",
            b"GIF89a",
        ] {
            assert_eq!(png(text), None, "{text:?}");
        }
    }
}
