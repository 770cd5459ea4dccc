//! Which language each device asks in, for what is said to it without being asked.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, PoisonError},
};

use crate::ident::DeviceId;

/// Devices remembered.
const MOST: usize = 4096;
/// Longest `Accept-Language` remembered; browsers send some dozens of letters.
const LONGEST: usize = 128;

/// The `Accept-Language` of each device that played something lately.
#[derive(Debug, Default)]
pub(super) struct Languages(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    of: HashMap<DeviceId, String>,
    order: VecDeque<DeviceId>,
}

impl Languages {
    /// Remembers what a device asks in.
    pub(super) fn note(&self, device: &DeviceId, language: &str) {
        if language.len() > LONGEST {
            return;
        }
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match known.of.get_mut(device) {
            Some(same) if same == language => {}
            Some(other) => language.clone_into(other),
            None => {
                if known.order.len() >= MOST
                    && let Some(oldest) = known.order.pop_front()
                {
                    known.of.remove(&oldest);
                }
                known.order.push_back(device.clone());
                known.of.insert(device.clone(), language.to_owned());
            }
        }
    }

    /// What a device asked in last.
    pub(super) fn of(&self, device: &DeviceId) -> Option<String> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.of.get(device).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_language_counts_and_the_oldest_device_is_forgotten() {
        let languages = Languages::default();
        languages.note(&"tv".into(), "de");
        languages.note(&"tv".into(), "fr");
        assert_eq!(languages.of(&"tv".into()).as_deref(), Some("fr"));
        for number in 0..MOST {
            languages.note(&DeviceId::new(format!("d{number}")), "en");
        }
        assert_eq!(languages.of(&"tv".into()), None);
    }
}
