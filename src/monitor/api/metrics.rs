//! What only the fleet as a whole can know, for Prometheus.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::{Api, stopping};
use crate::http::{OPEN_METRICS, Problem};
use crate::monitor::fold::Histogram;
use crate::monitor::show::Measures;
use crate::monitor::sources::is_silent;
use crate::monitor::view::Condition;

type Label = [(&'static str, String); 1];
type Labels = [(&'static str, String); 2];

pub(super) async fn metrics(State(api): State<Api>) -> Result<Response, Problem> {
    let measures = api.live.see(|state, now| state.measures(now)).await.ok_or_else(stopping)?;
    let mut registry = Registry::with_prefix("headwater_fleet");
    gauge(&mut registry, "log_behind_events", "Events not yet folded in", api.live.progress().behind);
    sources(&mut registry, &api);
    regions(&mut registry, &measures);
    trees(&mut registry, &measures);
    durations(&mut registry, &measures);
    totals(&mut registry, &measures);
    let mut text = String::new();
    // Writing to a String can't fail.
    let _ = encode(&mut text, &registry);
    Ok(([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response())
}

fn sources(registry: &mut Registry, api: &Api) {
    let heard = Family::<Label, Gauge>::default();
    for (domain, at) in api.sources.borrow().iter() {
        let is_heard = !is_silent(*at, Utc::now());
        heard.get_or_create(&[("domain", domain.clone())]).set(is_heard.into());
    }
    registry.register("log_heard", "Whether the log of another JetStream domain is heard", heard);
}

fn regions(registry: &mut Registry, measures: &Measures) {
    let (streams, viewers) = (Family::<Label, Gauge>::default(), Family::<Label, Gauge>::default());
    let (published, watched) = (Family::<Label, Gauge>::default(), Family::<Label, Gauge>::default());
    let depth = Family::<Label, Gauge>::default();
    let nodes = Family::<Labels, Gauge>::default();
    let traffic = Family::<Labels, Counter>::default();
    let trouble = Family::<Labels, Counter>::default();
    for (name, region) in &measures.regions {
        let label = [("region", name.to_string())];
        streams.get_or_create(&label).set(region.streams.into());
        viewers.get_or_create(&label).set(region.viewers.into());
        published.get_or_create(&label).set(whole(region.published));
        watched.get_or_create(&label).set(whole(region.watched));
        depth.get_or_create(&label).set(region.depth.into());
        let counters = &region.counters;
        for (kind, bytes) in [
            ("published", counters.published_bytes),
            ("piped", counters.piped_bytes),
            ("watched", counters.watched_bytes),
        ] {
            traffic.get_or_create(&[("region", name.to_string()), ("kind", kind.to_owned())]).inc_by(bytes);
        }
        for (kind, times) in [
            ("publisher_rejected", counters.publishers_rejected),
            ("viewer_rejected", counters.viewers_rejected),
            ("pipe_lost", counters.pipes_lost),
            ("pipe_refused", counters.pipes_refused),
            ("pipe_starved", counters.pipes_starved),
            ("key_frame_burst", counters.key_frame_bursts),
            ("limit_hit", counters.limits_hit),
            ("worker_died", counters.workers_died),
        ] {
            trouble.get_or_create(&[("region", name.to_string()), ("kind", kind.to_owned())]).inc_by(times);
        }
        for (condition, count) in &region.nodes {
            let labels = [("region", name.to_string()), ("condition", name_of(*condition).to_owned())];
            nodes.get_or_create(&labels).set((*count).into());
        }
    }
    registry.register("nodes", "Nodes, by region and condition", nodes);
    registry.register("streams", "Live streams, by the region of their origin", streams);
    registry.register("viewers", "Viewers, by region", viewers);
    registry.register("published_bits_per_second", "What publishers send, by region", published);
    registry.register("watched_bits_per_second", "What viewers are sent, estimated from samples", watched);
    let help = "Media of streams, pipes and viewers that are over, by the region that received or sent it";
    registry.register("media_bytes", help, traffic);
    registry.register("trouble", "What went wrong, by region and kind", trouble);
    registry.register("depth_hops", "The most hops that a live stream comes to a region", depth);
}

fn name_of(condition: Condition) -> &'static str {
    match condition {
        Condition::Serving => "serving",
        Condition::Draining => "draining",
        Condition::Stopped => "stopped",
        Condition::Lost => "lost",
    }
}

fn trees(registry: &mut Registry, measures: &Measures) {
    let depths = Family::<Label, Gauge>::default();
    for (depth, streams) in &measures.depths {
        depths.get_or_create(&[("hops", depth.to_string())]).set((*streams).into());
    }
    registry.register("trees", "Live streams, by the hops to the deepest node of their tree", depths);
    let most = u64::from(measures.max_crossings);
    gauge(registry, "region_crossings_max", "The most pipes between regions of one live stream", most);
    gauge(registry, "region_crossings", "Pipes between regions, by live stream", measures.crossings);
}

fn durations(registry: &mut Registry, measures: &Measures) {
    let durations = &measures.durations;
    let joins = Durations(vec![
        ("kind", "cold", durations.join_cold.clone()),
        ("kind", "warm", durations.join_warm.clone()),
    ]);
    registry.register_with_unit("join", "From a viewer's request to its answer", Unit::Seconds, joins);
    let recovery = Durations(vec![("of", "stream", durations.recovery.clone())]);
    let help = "How long a stream was away from viewers who waited";
    registry.register_with_unit("recovery", help, Unit::Seconds, recovery);
    let setup = Durations(vec![("of", "pipe", durations.pipe_setup.clone())]);
    registry.register_with_unit("pipe_setup", "How long opening a pipe took", Unit::Seconds, setup);
}

fn totals(registry: &mut Registry, measures: &Measures) {
    let totals = &measures.totals;
    gauge(registry, "rooms", "Rooms with something live", totals.rooms.into());
    gauge(registry, "pipes", "Open pipes", totals.pipes.into());
    counter(registry, "streams_started", "Streams started", totals.streams_started);
    counter(registry, "viewers_joined", "Viewers served", totals.viewers_joined);
    counter(registry, "pipes_opened", "Pipes opened", totals.pipes_opened);
    counter(registry, "pipes_failed", "Attempts at pipes that failed", totals.pipes_failed);
    counter(registry, "events", "Events folded in", totals.events);
    counter(registry, "events_duplicate", "Events that came twice", totals.duplicates);
    counter(registry, "events_unknown", "Events that this version can't read", totals.skipped);
    counter(registry, "events_dropped", "Events that nodes could not keep", totals.dropped);
}

fn gauge(registry: &mut Registry, name: &str, help: &str, value: u64) {
    let gauge: Gauge = Gauge::default();
    gauge.set(whole(value));
    registry.register(name, help, gauge);
}

fn counter(registry: &mut Registry, name: &str, help: &str, value: u64) {
    let counter: Counter = Counter::default();
    counter.inc_by(value);
    registry.register(name, help, counter);
}

fn whole(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Histograms that were counted elsewhere, each with its label.
#[derive(Debug)]
struct Durations(Vec<(&'static str, &'static str, Histogram)>);

impl EncodeMetric for Durations {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        for (label, value, histogram) in &self.0 {
            let labels = [(*label, *value)];
            let mut encoder = encoder.encode_family(&labels)?;
            let bound = |bound| if bound == f64::MAX { f64::INFINITY } else { bound };
            let buckets = histogram.buckets().into_iter().map(|(upper, count)| (bound(upper), count));
            let buckets: Vec<_> = buckets.collect();
            encoder.encode_histogram::<NoLabelSet>(histogram.sum(), histogram.count(), &buckets, None)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}
