//! Parameters of exec, attach and port-forward.

use super::Query;
use crate::core::model::StreamStdio;

/// Why a request is invalid; answered with 400.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamRequestError {
    /// None of the streams is requested.
    #[error("you must specify at least 1 of stdin, stdout, stderr")]
    NoStream,
    /// A WebSocket port-forward without ports.
    #[error("query parameter \"port\" is required")]
    NoPort,
    /// This text is not a port.
    #[error("unable to parse \"{0}\" as a port")]
    BadPort(String),
}

/// The requested streams: `input`, `output`, `error`, `tty`, each `1`.
pub fn parse_stdio(query: &Query) -> Result<StreamStdio, StreamRequestError> {
    let on = |name| query.get(name) == Some("1");
    let tty = on("tty");
    // A terminal has a single output; clients that request both get that one.
    let stdio = StreamStdio { stdin: on("input"), stdout: on("output"), stderr: on("error") && !tty, tty };
    if stdio.stdin || stdio.stdout || stdio.stderr { Ok(stdio) } else { Err(StreamRequestError::NoStream) }
}

/// Ports of a WebSocket port-forward, repeated or separated by commas. SPDY names them per stream instead.
pub fn parse_ports(query: &Query, websocket: bool) -> Result<Vec<i32>, StreamRequestError> {
    if !websocket {
        return Ok(Vec::new());
    }
    let texts = query.all("port").flat_map(|value| value.split(','));
    let ports: Vec<i32> = texts
        .map(|text| match text.parse::<u16>() {
            Ok(port) if port > 0 => Ok(i32::from(port)),
            _ => Err(StreamRequestError::BadPort(text.to_owned())),
        })
        .collect::<Result<_, _>>()?;
    if ports.is_empty() { Err(StreamRequestError::NoPort) } else { Ok(ports) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_has_no_error_stream_and_some_stream_is_needed() {
        let tty = parse_stdio(&Query::parse("input=1&output=1&error=1&tty=1")).unwrap();
        assert_eq!(tty, StreamStdio { stdin: true, stdout: true, stderr: false, tty: true });
        assert_eq!(parse_stdio(&Query::parse("tty=1&error=1")), Err(StreamRequestError::NoStream));
        assert_eq!(parse_stdio(&Query::parse("output=true")), Err(StreamRequestError::NoStream));
    }

    #[test]
    fn only_websockets_name_ports_in_the_query() {
        assert_eq!(parse_ports(&Query::parse("port=80,443&port=53"), true), Ok(vec![80, 443, 53]));
        assert_eq!(parse_ports(&Query::parse("port=80"), false), Ok(vec![]));
        assert_eq!(parse_ports(&Query::parse(""), true), Err(StreamRequestError::NoPort));
        assert_eq!(parse_ports(&Query::parse("port=0"), true), Err(StreamRequestError::BadPort("0".into())));
        assert_eq!(parse_ports(&Query::parse("port=70000"), true), Err(StreamRequestError::BadPort("70000".into())));
    }
}
