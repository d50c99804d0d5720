//! What `top` shows and what is chosen in it.

use std::cmp::Reverse;

use chrono::{DateTime, Utc};
use ratatui::widgets::TableState;

use super::feed::{Asked, News, Picture};
use crate::monitor::view::{NodeView, RoomLine, RoomSort};
use crate::protocol::ids::RoomId;

/// All of it.
#[derive(Debug)]
pub(super) struct Top {
    /// The monitor's address.
    pub(super) monitor: String,
    /// The last answer, and when it came.
    pub(super) picture: Option<(Picture, DateTime<Utc>)>,
    /// Why there is no newer one.
    pub(super) trouble: Option<String>,
    /// Which table is shown.
    pub(super) tab: Tab,
    /// The room that is shown in its place.
    pub(super) opened: Option<Opened>,
    /// What names must contain.
    pub(super) filter: String,
    /// Whether it is being typed.
    pub(super) typing: bool,
    /// The order of nodes.
    pub(super) node_sort: NodeSort,
    /// The order of rooms.
    pub(super) room_sort: RoomSort,
    /// The chosen node.
    pub(super) node: Choice,
    /// The chosen room.
    pub(super) room: Choice,
}

/// A table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tab {
    /// Of nodes.
    Nodes,
    /// Of rooms.
    Rooms,
}

/// An order of nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NodeSort {
    /// By name.
    Name,
    /// Most viewers first.
    Viewers,
    /// Busiest first.
    Cpu,
}

/// A room that is looked into.
#[derive(Debug)]
pub(super) struct Opened {
    /// The room.
    pub(super) room: RoomId,
    /// The first line that is seen.
    pub(super) scroll: usize,
}

/// What is chosen in a table, by name: rows move.
#[derive(Debug, Default)]
pub(super) struct Choice {
    name: Option<String>,
    /// Where the table is scrolled to.
    pub(super) table: TableState,
}

impl Top {
    /// Before anything is known.
    pub(super) fn new(monitor: String) -> Self {
        Self {
            monitor,
            picture: None,
            trouble: None,
            tab: Tab::Nodes,
            opened: None,
            filter: String::new(),
            typing: false,
            node_sort: NodeSort::Name,
            room_sort: RoomSort::Viewers,
            node: Choice::default(),
            room: Choice::default(),
        }
    }

    /// What the monitor is to be asked.
    pub(super) fn asked(&self) -> Asked {
        Asked {
            search: self.filter.clone(),
            sort: self.room_sort,
            room: self.opened.as_ref().map(|opened| opened.room.clone()),
        }
    }

    /// Takes in an answer, or that there is none.
    pub(super) fn hear(&mut self, news: News) {
        match news {
            News::Picture(picture) => {
                self.picture = Some((*picture, Utc::now()));
                self.trouble = None;
            }
            News::Trouble(reason) => self.trouble = Some(reason),
        }
    }

    /// The nodes that are shown, in their order.
    pub(super) fn nodes(&self) -> Vec<&NodeView> {
        let regions = self.picture.iter().flat_map(|(picture, _)| &picture.fleet.regions);
        let filter = self.filter.to_lowercase();
        let found = |node: &&NodeView| {
            [node.node.as_str(), node.region.as_str()]
                .iter()
                .any(|name| name.to_lowercase().contains(&filter))
        };
        let mut nodes: Vec<_> = regions.flat_map(|region| &region.nodes).filter(found).collect();
        nodes.sort_by(|a, b| a.node.cmp(&b.node));
        match self.node_sort {
            NodeSort::Name => {}
            NodeSort::Viewers => nodes.sort_by_key(|node| Reverse(node.load.viewers)),
            NodeSort::Cpu => nodes.sort_by(|a, b| b.load.cpu.total_cmp(&a.load.cpu)),
        }
        nodes
    }

    /// The rooms that are shown: found and ordered by the monitor, which knows more than it lists.
    pub(super) fn rooms(&self) -> &[RoomLine] {
        self.picture.as_ref().map_or(&[], |(picture, _)| &picture.rooms.rooms)
    }

    /// The names in the table, in their order.
    pub(super) fn names(&self) -> Vec<String> {
        match self.tab {
            Tab::Nodes => self.nodes().iter().map(|node| node.node.to_string()).collect(),
            Tab::Rooms => self.rooms().iter().map(|room| room.room.to_string()).collect(),
        }
    }

    /// What is chosen in the table that is shown.
    pub(super) fn choice(&mut self) -> &mut Choice {
        match self.tab {
            Tab::Nodes => &mut self.node,
            Tab::Rooms => &mut self.room,
        }
    }
}

impl Choice {
    /// The chosen name; the first where it is gone.
    pub(super) fn name<'a>(&self, names: &'a [String]) -> Option<&'a String> {
        names.get(self.index(names))
    }

    /// Chooses the name so many rows further, or the first or last one.
    pub(super) fn step(&mut self, names: &[String], rows: isize) {
        let index = self.index(names).saturating_add_signed(rows).min(names.len().saturating_sub(1));
        self.name = names.get(index).cloned();
    }

    /// Points the table at the row of what is chosen.
    pub(super) fn point(&mut self, names: &[String]) {
        let index = self.index(names);
        self.table.select((!names.is_empty()).then_some(index));
    }

    fn index(&self, names: &[String]) -> usize {
        let chosen = self.name.as_ref();
        chosen.and_then(|name| names.iter().position(|other| other == name)).unwrap_or_default()
    }
}
