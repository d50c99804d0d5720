//! Which rooms go where by themselves, and where they may not go.

use serde::{Deserialize, Serialize};

use super::Names;
use crate::protocol::ids::{Region, RoomId};

/// Rules for rooms, by name. All nodes should have the same.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rooms {
    /// Rooms whose streams come here as soon as they are published, and stay while they are live, whether anyone
    /// watches or not.
    pub push: Names,
    /// The regions whose edges have them pushed; empty is all.
    pub push_regions: Vec<Region>,
    /// Rooms that may be published, carried and watched in some regions alone. The first rule whose name fits counts.
    pub residency: Vec<Residency>,
}

/// Where rooms of a name may be.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Residency {
    /// The rooms.
    pub rooms: Names,
    /// The regions that may have them.
    pub regions: Vec<Region>,
}

impl Rooms {
    /// Whether a room's streams are pushed to the edges of a region.
    pub fn pushes(&self, room: &RoomId, to: &Region) -> bool {
        self.push.fit(room.as_str()) && (self.push_regions.is_empty() || self.push_regions.contains(to))
    }

    /// The regions that may have a room, where not all may.
    pub fn only_in(&self, room: &RoomId) -> Option<&[Region]> {
        let rule = self.residency.iter().find(|rule| rule.rooms.fit(room.as_str()))?;
        Some(&rule.regions)
    }

    /// Whether a region may have a room.
    pub fn allow(&self, room: &RoomId, region: &Region) -> bool {
        self.only_in(room).is_none_or(|regions| regions.contains(region))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_are_pushed_and_kept_by_name() {
        let rules = r#"
            push = ["show-*"]
            push_regions = ["east", "west"]
            residency = [{ rooms = "eu-*", regions = ["paris", "berlin"] }]
        "#;
        let rules: Rooms = toml::from_str(rules).unwrap();
        let (room, region) =
            (|name: &str| name.parse::<RoomId>().unwrap(), |name: &str| name.parse::<Region>().unwrap());
        assert!(rules.pushes(&room("show-1"), &region("east")));
        assert!(!rules.pushes(&room("show-1"), &region("north")));
        assert!(!rules.pushes(&room("shop"), &region("east")));
        assert!(rules.allow(&room("eu-1"), &region("paris")) && !rules.allow(&room("eu-1"), &region("east")));
        assert!(rules.allow(&room("us-1"), &region("east")));
    }
}
