//! Messages beside media: what is asked of them, answered and told.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::lenient;
use crate::protocol::claim::ClaimedProducer;
use crate::protocol::data::Channel;
use crate::protocol::ids::{ConsumerId, ProducerId, SessionId, StreamName};
use crate::protocol::rtp::{AppDataJson, SctpStreamParameters};
use crate::protocol::schema;

/// Begins to send messages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProduceData {
    /// The connection, which is for sending and was opened with `sctp`.
    pub transport_id: SessionId,
    /// The data channel, as mediasoup-client says it.
    #[serde(deserialize_with = "lenient::sctp_stream_parameters")]
    #[schemars(schema_with = "schema::sctp_stream_parameters")]
    pub sctp_stream_parameters: SctpStreamParameters,
    /// What it is, as `chat`: at most 64 bytes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// The subprotocol: at most 64 bytes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub protocol: String,
    /// Free for the application: at most 4 KiB.
    #[serde(default, skip_serializing_if = "AppDataJson::is_empty")]
    pub app_data: AppDataJson,
}

/// Ends a data producer of one's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CloseDataProducer {
    /// The data producer.
    pub data_producer_id: ProducerId,
}

/// Asks to be sent another's messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConsumeData {
    /// Whose data producer.
    pub data_producer_id: ProducerId,
}

/// Asks to be sent them no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CloseDataConsumer {
    /// The data consumer.
    pub data_consumer_id: ConsumerId,
}

/// Another's messages are sent from now on: what mediasoup-client's `consumeData` takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DataConsumed {
    /// The data consumer.
    pub id: ConsumerId,
    /// What it is sent.
    pub data_producer_id: ProducerId,
    /// Whose that is.
    pub participant: StreamName,
    /// The data channel.
    #[schemars(schema_with = "schema::sctp_stream_parameters")]
    pub sctp_stream_parameters: SctpStreamParameters,
    /// What it is, in the words of whoever made it.
    pub label: String,
    /// The subprotocol.
    pub protocol: String,
    /// Free for the application.
    pub app_data: AppDataJson,
}

/// What messages a participant sends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DataProducer {
    /// The data producer.
    pub id: ProducerId,
    /// What it is, in the words of whoever made it.
    pub label: String,
    /// How they are delivered.
    #[serde(flatten)]
    pub channel: Channel,
    /// Free for the application.
    #[serde(default)]
    pub app_data: AppDataJson,
}

/// Somebody sends messages from now on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NewDataProducer {
    /// Who.
    pub participant: StreamName,
    /// What.
    pub data_producer: DataProducer,
}

/// Somebody doesn't any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DataProducerClosed {
    /// Who.
    pub participant: StreamName,
    /// What.
    pub data_producer_id: ProducerId,
}

/// What a data consumer is sent is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DataConsumerClosed {
    /// The data consumer.
    pub data_consumer_id: ConsumerId,
}

impl DataProducer {
    /// Those that send messages, of all that a participant sends.
    pub fn among(claimed: &[ClaimedProducer]) -> Vec<Self> {
        let data = |own: &ClaimedProducer| {
            let channel = *own.channel.clone()?;
            let (label, app_data) = (own.label.to_string(), own.app_data.clone().into());
            Some(Self { id: own.id, label, channel, app_data })
        };
        claimed.iter().filter_map(data).collect()
    }
}
