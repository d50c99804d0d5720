//! Asks the monitor again and again: whenever something happened, and from time to time.

use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::super::api::{Api, Events};
use super::super::error::ApiError;
use crate::monitor::view::{FleetView, RoomSort, RoomView, RoomsQuery, RoomsView};
use crate::protocol::ids::RoomId;

/// The longest time between two answers.
const REFRESH: Duration = Duration::from_secs(2);
/// The shortest one, however much happens.
const REST: Duration = Duration::from_millis(250);
/// As many rooms as somebody may scroll through.
const ROOMS: usize = 500;

/// What is shown, and so asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    /// Part of the names of rooms.
    pub(super) search: String,
    /// The order of rooms.
    pub(super) sort: RoomSort,
    /// The room that is looked into.
    pub(super) room: Option<RoomId>,
}

/// What the monitor knows.
#[derive(Debug, Clone)]
pub(super) struct Picture {
    /// The fleet.
    pub(super) fleet: FleetView,
    /// The rooms that were asked for.
    pub(super) rooms: RoomsView,
    /// The room that was asked for; none where it isn't known any more.
    pub(super) room: Option<RoomView>,
}

/// What is heard of the monitor.
#[derive(Debug)]
pub(super) enum News {
    /// An answer.
    Picture(Box<Picture>),
    /// None, and why.
    Trouble(String),
}

/// Feeds `news` for as long as it is listened to.
pub(super) async fn run(api: Api, mut asked: watch::Receiver<Asked>, news: mpsc::Sender<News>) {
    let mut events: Option<Events> = None;
    loop {
        if events.is_none() {
            // Without events there is still the time.
            events = timeout(REFRESH, api.follow(None, None)).await.ok().and_then(Result::ok);
        }
        let question = asked.borrow_and_update().clone();
        let heard = match ask(&api, question).await {
            Ok(picture) => News::Picture(Box::new(picture)),
            Err(error) => News::Trouble(trouble(&error)),
        };
        if news.send(heard).await.is_err() {
            return;
        }
        let answered = Instant::now();
        tokio::select! {
            () = sleep_until(answered + REFRESH) => {}
            changed = asked.changed() => if changed.is_err() { return },
            lost = happened(&mut events, answered + REST) => if lost { events = None },
        }
    }
}

fn trouble(error: &ApiError) -> String {
    match error {
        ApiError::Unreachable { url, reason } => format!("monitor unreachable at {url}: {reason}"),
        error => error.to_string(),
    }
}

/// Waits for an event, then takes all that come until `rest`. Whether the events are lost.
async fn happened(events: &mut Option<Events>, rest: Instant) -> bool {
    let Some(events) = events else { return std::future::pending().await };
    let mut next = events.next().await;
    while let Some(Ok(_)) = next {
        match timeout_at(rest, events.next()).await {
            Ok(further) => next = further,
            Err(_) => return false,
        }
    }
    // At once again would be no more than pounding at a closed door.
    sleep_until(rest + REST).await;
    true
}

async fn ask(api: &Api, asked: Asked) -> Result<Picture, ApiError> {
    let query = RoomsQuery {
        search: asked.search,
        live: Some(true),
        sort: asked.sort,
        limit: ROOMS,
        ..RoomsQuery::default()
    };
    let (fleet, rooms) = tokio::try_join!(api.fleet(None), api.rooms(&query, None))?;
    let room = match &asked.room {
        Some(room) => match api.room(room, None).await {
            Ok(view) => Some(view),
            Err(ApiError::UnknownRoom { .. }) => None,
            Err(error) => return Err(error),
        },
        None => None,
    };
    Ok(Picture { fleet, rooms, room })
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::super::super::sample::recorded;
    use super::*;

    #[tokio::test]
    async fn a_burst_of_events_is_one_reason_to_ask() {
        let burst = stream::iter((1..100).map(|n| Ok(recorded(n, "room.forgotten"))));
        let mut events: Option<Events> = Some(burst.chain(stream::pending()).boxed());
        assert!(!happened(&mut events, Instant::now() + REST).await);
        let again = timeout_at(Instant::now() + REST, happened(&mut events, Instant::now() + REST)).await;
        assert!(again.is_err(), "some of the burst were left");
    }

    #[tokio::test]
    async fn events_that_end_are_lost() {
        let mut events: Option<Events> = Some(stream::empty().boxed());
        assert!(happened(&mut events, Instant::now()).await);
    }

    #[tokio::test]
    async fn a_missing_monitor_is_news_again_and_again() {
        let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let api = Api::new(format!("http://{unused}").parse().unwrap(), None).unwrap();
        let asked = Asked { search: String::new(), sort: RoomSort::Name, room: None };
        let (asks, asked) = watch::channel(asked);
        let (news, mut inbox) = mpsc::channel(1);
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(run(api, asked, news));
        for search in ["a", "b"] {
            let heard = timeout_at(Instant::now() + 10 * REFRESH, inbox.recv()).await.unwrap();
            assert!(matches!(heard, Some(News::Trouble(reason)) if reason.contains("unreachable")));
            asks.send_modify(|asked| asked.search = search.to_owned());
        }
        drop(asks);
        timeout_at(Instant::now() + 10 * REFRESH, tasks.join_next()).await.unwrap();
    }
}
