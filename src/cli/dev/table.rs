//! The live table of `headwater dev`.

use std::fmt::Write;
use std::io::IsTerminal;

use crate::client::Player;
use crate::node::Node;
use crate::protocol::ids::NodeName;
use crate::room::RoomView;

/// A table that is drawn over itself in a terminal, and printed anew elsewhere.
#[derive(Debug)]
pub(super) struct Table {
    lines: usize,
    terminal: bool,
}

impl Table {
    pub(super) fn new() -> Self {
        Self { lines: 0, terminal: std::io::stdout().is_terminal() }
    }

    pub(super) async fn show(&mut self, nodes: &[Node], room: &str, players: &[(NodeName, Player)]) {
        let mut text = String::new();
        let _ = writeln!(text, "{:8} {:7} {:34} {:>10} {:>9}", "NODE", "ROLE", "PIPE", "BITRATE", "LOST");
        for node in nodes {
            let Ok(room) = room.parse() else { return };
            let view = node.rooms().inspect(room).await;
            self::node(&mut text, &node.peer().node, view.as_ref());
        }
        let _ = writeln!(
            text,
            "\n{:8} {:>8} {:>13} {:>12} {:>10} {:>9} {:>6} {:>8}",
            "VIEWER", "ANSWER", "FIRST PACKET", "FIRST FRAME", "BITRATE", "LOST", "HOPS", "FREEZES"
        );
        for (node, player) in players {
            viewer(&mut text, node, player);
        }
        if self.terminal && self.lines > 0 {
            // Up over the former table, and clear from there.
            print!("\x1b[{}A\x1b[J", self.lines);
        }
        println!("{text}");
        self.lines = text.lines().count() + 1;
    }
}

fn node(text: &mut String, name: &NodeName, view: Option<&RoomView>) {
    let Some(view) = view else {
        let _ = writeln!(text, "{name:8} {:7} -", "-");
        return;
    };
    let origin = view.streams.iter().find_map(|stream| stream.bitrate);
    let role = match (origin, view.children.is_empty()) {
        (Some(_), _) => "origin",
        (None, true) => "edge",
        (None, false) => "relay",
    };
    if let Some(bitrate) = origin {
        let _ = writeln!(text, "{name:8} {role:7} {:34} {:>10} {:>9}", "publisher", kbit(bitrate), "");
    }
    for parent in &view.parents {
        let pipe = format!("from {} {}", parent.node, if parent.connected { "connected" } else { "opening" });
        let lost = format!("{}/{}", parent.flow.lost, parent.flow.packets);
        let _ = writeln!(text, "{name:8} {role:7} {pipe:34} {:>10} {lost:>9}", kbit(parent.flow.bitrate));
    }
    for child in &view.children {
        let pipe = format!("to {} {}", child.peer.node, if child.connected { "open" } else { "opening" });
        let _ = writeln!(text, "{name:8} {role:7} {pipe:34} {:>10} {:>9}", kbit(child.flow.bitrate), "");
    }
}

fn viewer(text: &mut String, node: &NodeName, player: &Player) {
    let report = player.report().borrow().clone();
    let ms = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.0} ms"));
    let hops = report.route.hops.map_or_else(|| "-".to_owned(), |hops| hops.to_string());
    let _ = writeln!(
        text,
        "{:8} {:>8} {:>13} {:>12} {:>10} {:>9} {hops:>6} {:>8}",
        node.as_str(),
        ms(report.answer_ms),
        ms(report.video.first_packet_ms),
        ms(report.video.first_frame_ms),
        kbit(report.bitrate_bps),
        format!("{}/{}", report.lost, report.packets),
        report.video.freezes,
    );
}

fn kbit(bits: u64) -> String {
    format!("{} kbit/s", bits / 1000)
}
