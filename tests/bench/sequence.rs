//! The source design's four messages, strictly one after the other, as an origin would send them.

use std::time::{Duration, Instant};

use headwater::node::Node;
use headwater::protocol::edge::{
    ConnectRemotePipeTransport, CreatePipeProducer, Done, RemotePipeTransport, RemoteRouterInfo,
};
use headwater::protocol::ids::ProducerId;
use uuid::Uuid;

use crate::joins::RUNS;
use crate::support::nats::NatsServer;
use crate::support::parent::Parent;
use crate::table::Samples;

/// What one message after the other takes.
pub(crate) struct Sequence {
    /// From the first request to the fourth reply.
    pub(crate) messages: Samples,
    /// A second producer on the same pipe.
    pub(crate) further: Samples,
}

pub(crate) async fn measure(nats: &NatsServer, edge: &Node) -> Sequence {
    let (mut messages, mut further) = (Vec::new(), Vec::new());
    for run in 0..RUNS {
        // A client without a router, which the edge asks for a stream and so takes a pipe from.
        let parent = Parent::of(edge, &nats.url(), &format!("sequence-{run}")).await;
        messages.push(open(&parent).await);
        let asked = Instant::now();
        let another = CreatePipeProducer { id: ProducerId(Uuid::new_v4()), revision: 2, ..first(&parent, 2) };
        let _: Done = parent.rogue.ask_edge(&parent.edge, another).await.expect("taken");
        further.push(asked.elapsed());
    }
    Sequence { messages: messages.into_iter().collect(), further: further.into_iter().collect() }
}

async fn open(parent: &Parent) -> Duration {
    let asked = Instant::now();
    let _: RemoteRouterInfo = parent.rogue.ask_edge(&parent.edge, parent.info()).await.expect("a router");
    let remote: RemotePipeTransport =
        parent.rogue.ask_edge(&parent.edge, parent.create(true)).await.expect("an end");
    // Nothing is sent: the discard port stands in for a media worker's.
    let connect = ConnectRemotePipeTransport { srtp_parameters: remote.srtp_parameters, ..parent.connect() };
    let _: Done = parent.rogue.ask_edge(&parent.edge, connect).await.expect("connected");
    let _: Done = parent.rogue.ask_edge(&parent.edge, first(parent, 1)).await.expect("taken");
    asked.elapsed()
}

/// The stream's producer, whose media would come under this SSRC.
fn first(parent: &Parent, ssrc: u32) -> CreatePipeProducer {
    let mut create = CreatePipeProducer { of: 2, ..parent.produce() };
    for encoding in &mut create.rtp_parameters.encodings {
        encoding.ssrc = Some(ssrc);
    }
    create
}
