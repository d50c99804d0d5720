//! The trace id that a request carries from node to node (W3C Trace Context).

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// A request's trace: written as a `traceparent` header and as `trace_id` in log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    trace: u128,
    span: u64,
}

impl Trace {
    /// A new trace.
    pub fn start() -> Self {
        Self { trace: Uuid::new_v4().as_u128(), span: span() }
    }

    /// The trace that a `traceparent` header names; a new one where it names none.
    pub fn from_header(header: Option<&str>) -> Self {
        header
            .and_then(|header| header.parse().ok())
            .map_or_else(Self::start, |parent: Self| Self { trace: parent.trace, span: span() })
    }

    /// The trace id as log lines show it.
    pub fn id(&self) -> String {
        format!("{:032x}", self.trace)
    }
}

fn span() -> u64 {
    // The upper half of a random uuid, without its fixed version bits being all zero.
    Uuid::new_v4().as_u64_pair().0
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-01", self.trace, self.span)
    }
}

/// The text is no `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a W3C traceparent")]
pub struct TraceError;

impl FromStr for Trace {
    type Err = TraceError;

    fn from_str(text: &str) -> Result<Self, TraceError> {
        let mut parts = text.split('-');
        let (Some(version), Some(trace), Some(span)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(TraceError);
        };
        let hex = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if version.len() != 2 || version == "ff" || trace.len() != 32 || span.len() != 16 {
            return Err(TraceError);
        }
        if !hex(version) || !hex(trace) || !hex(span) {
            return Err(TraceError);
        }
        let trace = u128::from_str_radix(trace, 16).map_err(|_| TraceError)?;
        let span = u64::from_str_radix(span, 16).map_err(|_| TraceError)?;
        if trace == 0 || span == 0 { Err(TraceError) } else { Ok(Self { trace, span }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_trace_goes_on_over_a_header() {
        let trace = Trace::start();
        assert_eq!(Trace::from_header(Some(&trace.to_string())).id(), trace.id());
        assert_ne!(Trace::from_header(Some("rubbish")).id(), trace.id());
    }

    proptest! {
        #[test]
        fn any_header_is_read_without_panic(text in ".{0,80}") {
            let _ = text.parse::<Trace>();
        }
    }
}
