//! What an image in the pool is, and what is in one that came.

use maquette_core::blueprint::Image;
use maquette_core::units::ByteSize;

use super::Job;
use crate::StepError;

/// What was found out of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// A Linux system, and nothing that sets it up from a seed.
    NoCloudInit,
    /// Nothing that would have to be known.
    Nothing,
}

impl Found {
    /// As the shell on the hypervisor is told, and as that records it.
    pub(in crate::image) fn word(self) -> &'static str {
        match self {
            Self::NoCloudInit => "without-cloud-init",
            Self::Nothing => "-",
        }
    }

    /// What a word says.
    pub(in crate::image) fn of(word: &str) -> Self {
        match word == Self::NoCloudInit.word() {
            true => Self::NoCloudInit,
            false => Self::Nothing,
        }
    }
}

impl Job<'_> {
    /// Whether what is there, by its record, is the image and no other: a volume's name has so little of what an image is known by
    /// that somebody can find another one with the same.
    pub(super) fn is_it(&self, recorded: &str, image: &Image) -> Result<(), StepError> {
        match &self.identity {
            Some(own) if !recorded.is_empty() && recorded != own => {
                let error = StepError::new(format!(
                    "volume {} is another image than {}",
                    image.volume, self.name
                ));
                Err(error.hint("`maquette image prune` removes it once no disk is over it"))
            }
            _ => Ok(()),
        }
    }

    /// Looks whether a Linux system is in it and nothing that sets that up from a seed. It is said only of what can be told.
    pub(super) fn look(&mut self) -> Result<Found, StepError> {
        self.progress("looking for cloud-init in it");
        let answer = self.order("look")?;
        let why = match answer.status() {
            "0" => None,
            "large" => {
                let most = ByteSize(answer.word(3).parse().unwrap_or(0));
                Some(format!("unpacking it takes more than the {most} that the pool has room for"))
            }
            _ => Some("it could not be unpacked".into()),
        };
        if let Some(why) = why {
            (self.context.remark)(format!("it was not looked into for cloud-init: {why}"));
        }
        Ok(Found::of(answer.word(2)))
    }
}
