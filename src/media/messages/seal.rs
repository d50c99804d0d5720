//! What protects messages between nodes: SRTP, which protects media on pipes, leaves SCTP as it is.
//!
//! A sealed message is its number (8 bytes, big endian) and, by AES-256-GCM with that number as nonce, its kind (the
//! payload protocol identifier of RFC 8831 section 8, one byte) and payload. Each producer has a key of its own, from its
//! origin, and numbers its messages from 1.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};

use crate::media::MediaError;
use crate::protocol::data::SealKey;

/// The bytes of a number.
const NUMBER: usize = size_of::<u64>();
/// What sealing adds to a message, in bytes.
pub(in crate::media) const SEALED: u32 = 8 + 1 + 16;

/// Seals and opens the messages of one producer.
#[derive(Debug)]
pub(super) struct Seal(LessSafeKey);

/// A message that was opened.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Opened {
    pub(super) number: u64,
    pub(super) kind: u8,
    pub(super) payload: Vec<u8>,
}

/// A new key.
pub(super) fn key() -> Result<SealKey, MediaError> {
    let mut bytes = [0; 32];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map(|()| SealKey(bytes)).map_err(|_| MediaError::Worker("the system has no randomness".to_owned()))
}

impl Seal {
    pub(super) fn new(key: SealKey) -> Result<Self, MediaError> {
        let key = UnboundKey::new(&AES_256_GCM, &key.0).map(LessSafeKey::new);
        key.map(Self).map_err(|_| MediaError::Unsupported("the key of its messages is none".to_owned()))
    }

    /// Seals a message. No number may come twice.
    pub(super) fn seal(&self, number: u64, kind: u8, payload: &[u8]) -> Option<Vec<u8>> {
        let mut inner = Vec::with_capacity(1 + payload.len());
        inner.push(kind);
        inner.extend_from_slice(payload);
        let tag = self.0.seal_in_place_separate_tag(nonce(number), Aad::empty(), &mut inner).ok()?;
        let mut sealed = Vec::with_capacity(NUMBER + inner.len() + tag.as_ref().len());
        sealed.extend_from_slice(&number.to_be_bytes());
        sealed.append(&mut inner);
        sealed.extend_from_slice(tag.as_ref());
        Some(sealed)
    }

    /// Opens a message; none where it wasn't sealed with the same key.
    pub(super) fn open(&self, sealed: &[u8]) -> Option<Opened> {
        let (number, sealed) = sealed.split_first_chunk::<NUMBER>()?;
        let number = u64::from_be_bytes(*number);
        let mut inner = sealed.to_vec();
        let (kind, payload) =
            self.0.open_in_place(nonce(number), Aad::empty(), &mut inner).ok()?.split_first()?;
        Some(Opened { number, kind: *kind, payload: payload.to_vec() })
    }
}

fn nonce(number: u64) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce.iter_mut().rev().zip(number.to_le_bytes()).for_each(|(place, byte)| *place = byte);
    Nonce::assume_unique_for_key(nonce)
}

/// Which messages have come: each passes once, by however many ways it comes.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// The highest number.
    highest: u64,
    /// Which of it and those before it have come, the highest first.
    seen: u128,
}

impl Window {
    /// Whether this one has not come before; one that is far behind counts as if it had.
    pub(super) fn is_new(&mut self, number: u64) -> bool {
        if number > self.highest {
            let by = u32::try_from(number - self.highest).unwrap_or(u32::MAX);
            self.seen = self.seen.checked_shl(by).unwrap_or(0) | 1;
            self.highest = number;
            return true;
        }
        let bit = u32::try_from(self.highest - number).ok().and_then(|back| 1_u128.checked_shl(back));
        let is_new = bit.is_some_and(|bit| self.seen & bit == 0);
        self.seen |= bit.unwrap_or(0);
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn what_is_sealed_is_opened_with_the_same_key_alone() {
        let (own, other) = (Seal::new(key().unwrap()).unwrap(), Seal::new(key().unwrap()).unwrap());
        let sealed = own.seal(7, 51, b"hello").unwrap();
        assert_eq!(sealed.len(), b"hello".len() + usize::try_from(SEALED).unwrap());
        let opened = Opened { number: 7, kind: 51, payload: b"hello".to_vec() };
        assert_eq!(own.open(&sealed), Some(opened));
        assert_eq!(other.open(&sealed), None);
        for at in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            assert_eq!(own.open(&altered), None, "byte {at}");
            assert_eq!(own.open(&sealed[..at]), None, "{at} bytes of it");
        }
    }

    #[test]
    fn of_a_message_that_comes_by_two_ways_one_passes() {
        let mut window = Window::default();
        let passes = [1, 2, 2, 4, 3, 3, 200, 150, 150, 60].map(|number| window.is_new(number));
        assert_eq!(passes, [true, true, false, true, true, false, true, true, false, false]);
        assert!(window.is_new(u64::MAX) && !window.is_new(u64::MAX));
    }

    proptest! {
        #[test]
        fn none_passes_twice_and_none_that_is_near_is_lost(numbers in prop::collection::vec(1_u64..400, 1..300)) {
            let (mut window, mut passed, mut highest) = (Window::default(), BTreeSet::new(), 0);
            for number in numbers {
                let is_near = highest < number + 128;
                let is_new = window.is_new(number);
                prop_assert_eq!(is_new, is_near && !passed.contains(&number));
                if is_new {
                    passed.insert(number);
                }
                highest = highest.max(number);
            }
        }
    }
}
