//! The trees of a room's streams.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use crate::monitor::fold::part::{Part, Pipe, published, rank};
use crate::monitor::fold::room::Room;
use crate::monitor::fold::standing::Standing;
use crate::monitor::view::{Condition, PipeView, StreamTree, TreeNode, TreeRole};
use crate::protocol::claim::{EndReason, Rank};
use crate::protocol::event::{Quality, StreamHere};
use crate::protocol::ids::{Incarnation, NodeName, StreamName};

/// The trees of all streams of a room, by name.
pub(super) fn all(room: &Room, standing: &Standing<'_>) -> Vec<StreamTree> {
    let here = room.parts.values().flat_map(|part| part.streams.iter().map(|here| &here.stream));
    let ended = room.parts.values().flat_map(|part| part.ended.iter().map(|over| &over.stream));
    let names: BTreeSet<&StreamName> = here.chain(ended).collect();
    names.into_iter().filter_map(|stream| one(room, standing, stream)).collect()
}

/// A node that has the stream or waits for it.
#[derive(Clone, Copy)]
struct Seat<'a> {
    id: Incarnation,
    condition: Condition,
    part: &'a Part,
    here: &'a StreamHere,
}

/// A publication, live or over.
struct Publication {
    rank: Rank,
    /// Why it is over, and when that was.
    over: Option<(EndReason, Option<DateTime<Utc>>)>,
    started_at: Option<DateTime<Utc>>,
}

fn one(room: &Room, standing: &Standing<'_>, stream: &StreamName) -> Option<StreamTree> {
    let mut publications: Vec<Publication> = Vec::new();
    let mut seats: BTreeMap<&NodeName, Seat<'_>> = BTreeMap::new();
    publications.extend(room.ended().filter(|over| over.stream == *stream).map(|over| Publication {
        rank: over.rank,
        over: Some((over.reason, Some(over.ended_at))),
        started_at: over.started_at,
    }));
    for (id, part) in &room.parts {
        let Some(here) = part.streams.iter().find(|here| here.stream == *stream) else { continue };
        let condition = standing.condition_of_part(id, part);
        if let Some(rank) = rank(here) {
            let over = match condition {
                Some(Condition::Serving | Condition::Draining) => None,
                Some(Condition::Stopped) => Some((EndReason::Drained, Some(part.heard_at))),
                Some(Condition::Lost) | None => {
                    let lost_at = standing.lost_at(id).unwrap_or(part.heard_at);
                    Some((EndReason::Lost, Some(lost_at)))
                }
            };
            publications.push(Publication { rank, over, started_at: here.started_at });
        }
        if let Some(condition) = condition.filter(|condition| *condition != Condition::Stopped) {
            seats.insert(&part.node, Seat { id: *id, condition, part, here });
        }
    }
    // The end of one is no end of another that goes on, be its rank the lower.
    let shown = publications.into_iter().max_by_key(|it| (it.over.is_none(), it.rank));
    if shown.is_none() && seats.is_empty() {
        return None;
    }
    Some(Grower::new(standing, stream, seats).stream(shown))
}

struct Grower<'a> {
    standing: &'a Standing<'a>,
    stream: &'a StreamName,
    seats: BTreeMap<&'a NodeName, Seat<'a>>,
    /// Who is not placed yet, by the parent.
    children: BTreeMap<&'a NodeName, Vec<Seat<'a>>>,
    depth: u8,
    crossings: u32,
}

impl<'a> Grower<'a> {
    fn new(
        standing: &'a Standing<'a>,
        stream: &'a StreamName,
        seats: BTreeMap<&'a NodeName, Seat<'a>>,
    ) -> Self {
        Self { standing, stream, seats, children: BTreeMap::new(), depth: 0, crossings: 0 }
    }

    fn stream(mut self, shown: Option<Publication>) -> StreamTree {
        let publication = shown.as_ref().map(|it| it.rank.1);
        let over = shown.as_ref().and_then(|it| it.over);
        let origin = self
            .seats
            .values()
            .find(|seat| publication.is_some() && published(seat.here) == publication)
            .copied();
        let mut alone = self.find_parents(origin.map(|seat| &seat.part.node));
        let tree = origin.map(|seat| self.grow(seat, 0, None));
        let (depth, crossings) = (self.depth, self.crossings);
        // Whoever is left hangs on a node that the origin doesn't reach.
        while let Some(parent) = self.unreached() {
            alone.extend(self.children.remove(parent).unwrap_or_default());
        }
        let mut apart: Vec<TreeNode> = alone.into_iter().map(|seat| self.grow(seat, 0, None)).collect();
        apart.sort_by(|a, b| a.node.cmp(&b.node));
        let alive = self.seats.values().filter(|seat| seat.alive());
        let at_origin = origin.filter(Seat::alive).filter(|_| over.is_none());
        StreamTree {
            stream: self.stream.clone(),
            publication,
            live: publication.is_some() && over.is_none(),
            ended: over.map(|(reason, _)| reason),
            started_at: shown.and_then(|it| it.started_at),
            ended_at: over.and_then(|(_, at)| at),
            producers: at_origin.map(|seat| seat.here.producers.clone()).unwrap_or_default(),
            bitrate: at_origin.map_or(0, |seat| seat.here.bitrate),
            muted: at_origin.is_some_and(|seat| seat.here.muted),
            participant: at_origin.is_some_and(|seat| seat.here.participant),
            warnings: at_origin.map(|seat| seat.here.warnings.clone()).unwrap_or_default(),
            viewers: alive.fold(0, |sum, seat| sum.saturating_add(seat.here.viewers)),
            depth,
            crossings,
            tree,
            apart,
        }
    }

    /// Sorts all but the origin by their parents; returns those that have none.
    fn find_parents(&mut self, origin: Option<&NodeName>) -> Vec<Seat<'a>> {
        let mut alone = Vec::new();
        for seat in self.seats.values() {
            if origin == Some(&seat.part.node) {
                continue;
            }
            let parent = match seat.here.path.last() {
                Some(parent) => Some(parent),
                None => self.sender(seat),
            };
            match parent {
                // A node that was lost is there only as long as somebody leads a pipe to it.
                Some(parent) if seat.alive() || self.pipe(parent, seat).is_some() => {
                    self.children.entry(parent).or_default().push(*seat);
                }
                None if seat.alive() && seat.here.viewers > 0 => alone.push(*seat),
                _ => {}
            }
        }
        alone
    }

    /// Who leads a pipe to a node that doesn't tell where the stream comes from.
    fn sender(&self, to: &Seat<'_>) -> Option<&'a NodeName> {
        if to.here.publication.is_some() {
            return None;
        }
        let mut senders = self.seats.keys().filter(|parent| **parent != &to.part.node);
        senders.find(|parent| self.pipe(parent, to).is_some()).copied()
    }

    /// The pipe by which a node sends to another; what one that was lost led is gone.
    fn pipe(&self, parent: &NodeName, to: &Seat<'_>) -> Option<&'a Pipe> {
        let pipes = self.seats.get(parent).filter(|seat| seat.alive())?.part.pipes.iter();
        pipes
            .filter(|pipe| pipe.here.to.incarnation == to.id && pipe.carries(self.stream))
            .max_by_key(|pipe| (pipe.here.open, pipe.here.pipe))
    }

    /// A parent that isn't itself among those not placed yet; or any, where they run in a circle.
    fn unreached(&self) -> Option<&'a NodeName> {
        let placed: BTreeSet<&NodeName> =
            self.children.values().flatten().map(|seat| &seat.part.node).collect();
        let mut parents = self.children.keys();
        parents.find(|parent| !placed.contains(**parent)).or_else(|| self.children.keys().next()).copied()
    }

    fn grow(&mut self, seat: Seat<'a>, hops: u8, pipe: Option<&Pipe>) -> TreeNode {
        let node = &seat.part.node;
        // An open pipe carries the stream before the node's next summary tells so.
        if seat.alive() && (seat.here.publication.is_some() || pipe.is_some_and(|pipe| pipe.here.open)) {
            self.depth = self.depth.max(hops);
        }
        let below = self.children.remove(node).unwrap_or_default();
        let mut children: Vec<TreeNode> = Vec::with_capacity(below.len());
        for child in below {
            let pipe = self.pipe(node, &child);
            self.crossings += u32::from(child.alive() && child.part.region != seat.part.region);
            children.push(self.grow(child, hops.saturating_add(1), pipe));
        }
        children.extend(self.expected(&seat, hops.saturating_add(1)));
        children.sort_by(|a, b| a.node.cmp(&b.node));
        let role = match (published(seat.here), children.is_empty()) {
            (Some(_), _) => TreeRole::Origin,
            (None, false) => TreeRole::Relay,
            (None, true) => TreeRole::Edge,
        };
        let alive = seat.alive();
        TreeNode {
            node: node.clone(),
            region: seat.part.region.clone(),
            role,
            hops,
            condition: seat.condition,
            viewers: if alive { seat.here.viewers } else { 0 },
            bitrate: if alive { seat.here.bitrate } else { 0 },
            lost: seat.here.lost,
            quality: if alive { seat.here.quality.clone() } else { Quality::default() },
            pipe: pipe.map(view),
            children,
        }
    }

    /// The nodes that a pipe leads to but that have not told of the stream yet.
    fn expected(&self, seat: &Seat<'_>, hops: u8) -> Vec<TreeNode> {
        let mut nodes: BTreeMap<&NodeName, TreeNode> = BTreeMap::new();
        let pipes = seat.part.pipes.iter().filter(|pipe| seat.alive() && pipe.carries(self.stream));
        for pipe in pipes {
            let to = &pipe.here.to;
            let Some(condition) = self.standing.condition_of(to) else { continue };
            if condition == Condition::Stopped || self.seats.contains_key(&to.node) {
                continue;
            }
            let node = TreeNode {
                node: to.node.clone(),
                region: to.region.clone(),
                role: TreeRole::Edge,
                hops,
                condition,
                viewers: 0,
                bitrate: 0,
                lost: 0,
                quality: Quality::default(),
                pipe: Some(view(pipe)),
                children: Vec::new(),
            };
            nodes.insert(&to.node, node);
        }
        nodes.into_values().collect()
    }
}

impl Seat<'_> {
    fn alive(&self) -> bool {
        matches!(self.condition, Condition::Serving | Condition::Draining)
    }
}

fn view(pipe: &Pipe) -> PipeView {
    PipeView {
        pipe: pipe.here.pipe,
        open: pipe.here.open,
        since: pipe.here.since,
        bitrate: pipe.here.bitrate,
        setup_us: pipe.setup_us,
        attempt: pipe.attempt,
    }
}
