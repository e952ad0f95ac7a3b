//! Numbers of packets.

/// Which numbers of packets have been seen, so that none is done twice (IPMI 2.0, 6.12.13).
#[derive(Default)]
pub struct Window {
    highest: u32,
    seen: u32,
}

/// How far numbers may go ahead.
const AHEAD: u32 = 16;

impl Window {
    /// Whether a packet of a number may be looked at: it is none of those that were.
    pub fn admits(&mut self, number: u32) -> bool {
        if number == 0 {
            return false;
        }
        if number > self.highest {
            let step = number - self.highest;
            // The first may be any.
            if self.highest != 0 && step > AHEAD {
                return false;
            }
            self.seen = self.seen.checked_shl(step).unwrap_or(0) | 1;
            self.highest = number;
            return true;
        }
        let behind = self.highest - number;
        let bit = 1u32.checked_shl(behind).filter(|bit| behind < AHEAD && self.seen & bit == 0);
        self.seen |= bit.unwrap_or(0);
        bit.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_admitted_once_and_not_from_far_away() {
        let mut window = Window::default();
        assert!(!window.admits(0));
        assert!(window.admits(7) && !window.admits(7));
        assert!(window.admits(9) && window.admits(8) && !window.admits(8));
        assert!(window.admits(25) && !window.admits(42) && window.admits(41));
        assert!(!window.admits(9) && window.admits(26) && !window.admits(26));
    }
}
