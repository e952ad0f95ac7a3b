//! Sizes and hardware addresses.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ByteSize(pub u64);

/// Bytes in a MiB.
pub const MIB: u64 = 1 << 20;
/// Bytes in a GiB.
pub const GIB: u64 = 1 << 30;

/// Why a text is not a valid size.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum SizeError {
    /// No number, or an unknown unit.
    #[error("write a number and one of the units K, M, G, T, P (powers of 1024)")]
    Form,
    /// More than 64 bits of bytes.
    #[error("the size is too large")]
    TooLarge,
}

impl FromStr for ByteSize {
    type Err = SizeError;

    /// Reads `46G`, `46g`, `46GiB`, `46 GB`, `1.5T`; all units are powers of 1024, a bare number is
    /// bytes.
    fn from_str(text: &str) -> Result<Self, SizeError> {
        let text = text.trim();
        let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(split);
        let unit = unit.trim().to_ascii_lowercase();
        let unit = unit.strip_suffix("ib").or_else(|| unit.strip_suffix('b')).unwrap_or(&unit);
        let shift = match unit {
            "" => 0,
            "k" => 10,
            "m" => 20,
            "g" => 30,
            "t" => 40,
            "p" => 50,
            "e" => 60,
            _ => return Err(SizeError::Form),
        };
        if let Ok(whole) = number.parse::<u64>() {
            return whole.checked_mul(1 << shift).map(ByteSize).ok_or(SizeError::TooLarge);
        }
        let fraction: f64 = number.parse().map_err(|_| SizeError::Form)?;
        let bytes = fraction * (1u64 << shift) as f64;
        if bytes >= u64::MAX as f64 { Err(SizeError::TooLarge) } else { Ok(ByteSize(bytes as u64)) }
    }
}

impl fmt::Display for ByteSize {
    /// The largest binary unit that leaves a number of at least one; one digit after the point if
    /// it is not whole.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        let mut unit = 0;
        while unit < 6 && self.0 >> (10 * (unit + 1)) > 0 {
            unit += 1;
        }
        let divisor = 1u64 << (10 * unit);
        if self.0.is_multiple_of(divisor) {
            write!(f, "{} {}", self.0 / divisor, UNITS[unit])
        } else {
            write!(f, "{:.1} {}", self.0 as f64 / divisor as f64, UNITS[unit])
        }
    }
}

/// An Ethernet address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddr(pub [u8; 6]);

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for MacAddr {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str = "write six pairs of hexadecimal digits: 52:54:00:12:34:56";
        let mut bytes = [0u8; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts.next().filter(|p| p.len() == 2).ok_or(FORM)?;
            *byte = u8::from_str_radix(part, 16).map_err(|_| FORM)?;
        }
        if parts.next().is_some() { Err(FORM) } else { Ok(Self(bytes)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_in_the_usual_spellings() {
        for (text, bytes) in [
            ("46G", 46 * GIB),
            ("46g", 46 * GIB),
            ("46 GiB", 46 * GIB),
            ("512M", 512 * MIB),
            ("1.5G", 3 * GIB / 2),
            ("1024", 1024),
        ] {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
        assert_eq!("lots".parse::<ByteSize>(), Err(SizeError::Form));
        assert_eq!("99999999E".parse::<ByteSize>(), Err(SizeError::TooLarge));
    }

    #[test]
    fn sizes_are_written_short() {
        assert_eq!(ByteSize(46 * GIB).to_string(), "46 GiB");
        assert_eq!(ByteSize(3 * GIB / 2).to_string(), "1.5 GiB");
        assert_eq!(ByteSize(0).to_string(), "0 B");
    }

    #[test]
    fn mac_addresses_round_trip() {
        let mac: MacAddr = "52:54:00:0a:ff:01".parse().unwrap();
        assert_eq!(mac.to_string(), "52:54:00:0a:ff:01");
        assert!("52:54:00:0a:ff".parse::<MacAddr>().is_err());
        assert!("52:54:00:0a:ff:01:02".parse::<MacAddr>().is_err());
    }
}
