//! What somebody without a password may send, for tests: the same on every run.

/// How often something is tried: what takes a moment, or where `MAQUETTE_TEST_ALL` is set as many as a million altogether need.
pub fn tries(usual: usize, all: usize) -> usize {
    if std::env::var_os("MAQUETTE_TEST_ALL").is_some() { all } else { usual }
}

/// Fails if the process takes much more memory than before. Tests beside this one take some, so only of a run by hand.
pub struct Leak(Option<usize>);

impl Leak {
    /// Remembers what is taken now, once enough was tried for what stays.
    pub fn watch() -> Self {
        Self(std::env::var_os("MAQUETTE_TEST_ALL").and_then(|_| resident_kib()))
    }

    /// Compares with what is taken now.
    pub fn check(&self) {
        if let (Some(before), Some(now)) = (self.0, resident_kib()) {
            assert!(now < before + 8 * 1024, "{before} KiB became {now} KiB");
        }
    }
}

fn resident_kib() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

/// Xorshift (Marsaglia 2003).
pub struct Random(pub u64);

impl Random {
    /// A number below a limit.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }

    /// Random bytes, fewer than `most` of them.
    pub fn bytes(&mut self, most: usize) -> Vec<u8> {
        (0..self.below(most)).map(|_| self.below(256) as u8).collect()
    }

    /// One of several.
    pub fn one<'t, T>(&mut self, all: &'t [T]) -> &'t T {
        &all[self.below(all.len())]
    }

    /// Bytes that were changed, cut, repeated, or mixed with others; never those that they were.
    pub fn mutated(&mut self, input: &[u8], other: &[u8]) -> Vec<u8> {
        loop {
            let mut out = input.to_vec();
            for _ in 0..=self.below(3) {
                let at = self.below(out.len() + 1);
                let end = (at + 1 + self.below(8)).min(out.len());
                match self.below(5) {
                    0 | 1 if at < out.len() => out[at] ^= 1 << self.below(8),
                    2 if at < end => drop(out.drain(at..end)),
                    3 if !other.is_empty() => {
                        let from = self.below(other.len());
                        let to = (from + 1 + self.below(32)).min(other.len());
                        out.splice(at..at, other[from..to].iter().copied());
                    }
                    _ => {
                        let more = self.bytes(5);
                        out.splice(at..at, more);
                    }
                }
            }
            if out != input {
                return out;
            }
        }
    }
}
