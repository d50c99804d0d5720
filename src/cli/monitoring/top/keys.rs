//! What the keys of `top` do.

use std::ops::ControlFlow;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::state::{NodeSort, Opened, Tab, Top};
use crate::monitor::view::RoomSort;

const PAGE: isize = 10;

impl Top {
    /// Does what a key is for; breaks when it ends `top`.
    pub(super) fn press(&mut self, key: KeyEvent) -> ControlFlow<()> {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return match key.code {
                KeyCode::Char('c') => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            };
        }
        if self.typing {
            self.type_filter(key.code);
            return ControlFlow::Continue(());
        }
        match key.code {
            KeyCode::Char('q') => return ControlFlow::Break(()),
            KeyCode::Tab | KeyCode::BackTab => self.switch(),
            KeyCode::Char('/') => {
                self.opened = None;
                self.typing = true;
            }
            KeyCode::Char('s') => self.sort(),
            KeyCode::Enter => self.open(),
            KeyCode::Esc | KeyCode::Backspace => self.back(),
            KeyCode::Down | KeyCode::Char('j') => self.step(1),
            KeyCode::Up | KeyCode::Char('k') => self.step(-1),
            KeyCode::PageDown => self.step(PAGE),
            KeyCode::PageUp => self.step(-PAGE),
            KeyCode::Home | KeyCode::Char('g') => self.step(isize::MIN),
            KeyCode::End | KeyCode::Char('G') => self.step(isize::MAX),
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn type_filter(&mut self, key: KeyCode) {
        match key {
            KeyCode::Enter => self.typing = false,
            KeyCode::Esc => {
                self.typing = false;
                self.filter.clear();
            }
            KeyCode::Backspace => drop(self.filter.pop()),
            KeyCode::Char(char) => self.filter.push(char),
            _ => {}
        }
    }

    fn switch(&mut self) {
        self.opened = None;
        self.tab = match self.tab {
            Tab::Nodes => Tab::Rooms,
            Tab::Rooms => Tab::Nodes,
        };
    }

    fn sort(&mut self) {
        match self.tab {
            Tab::Nodes => {
                self.node_sort = match self.node_sort {
                    NodeSort::Name => NodeSort::Viewers,
                    NodeSort::Viewers => NodeSort::Cpu,
                    NodeSort::Cpu => NodeSort::Name,
                }
            }
            Tab::Rooms => {
                self.room_sort = match self.room_sort {
                    RoomSort::Viewers => RoomSort::Name,
                    RoomSort::Name => RoomSort::Age,
                    RoomSort::Age => RoomSort::Viewers,
                }
            }
        }
    }

    fn open(&mut self) {
        if self.tab == Tab::Rooms && self.opened.is_none() {
            let names = self.names();
            let room = self.room.name(&names).and_then(|name| name.parse().ok());
            self.opened = room.map(|room| Opened { room, scroll: 0 });
        }
    }

    fn back(&mut self) {
        if self.opened.take().is_none() {
            self.filter.clear();
        }
    }

    fn step(&mut self, rows: isize) {
        match &mut self.opened {
            // Drawing holds it above the last line.
            Some(opened) => opened.scroll = opened.scroll.saturating_add_signed(rows),
            None => {
                let names = self.names();
                self.choice().step(&names, rows);
            }
        }
    }
}
