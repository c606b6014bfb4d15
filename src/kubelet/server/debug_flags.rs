//! `PUT /debug/flags/v`: changes the log verbosity at runtime (apiserver `server/routes/flags.go`).

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};

use super::Server;
use super::reply::{Reply, text, typed};
use crate::telemetry::logging::set_verbosity;

/// Longest number that is read.
const MOST: usize = 64;

/// Responds for one flag, or lists all flags.
pub async fn answer(server: &Server, flag: Option<&str>, request: Request<Incoming>) -> Reply {
    if !server.settings.debug_flags {
        return text(StatusCode::METHOD_NOT_ALLOWED, "flags endpoint is disabled.\n");
    }
    if flag != Some("v") {
        let page = "<html>\n<head>\n<title>/debug/flags/</title>\n</head>\n<body>\n/debug/flags/<br>\n<br>\nflags:<br>\n\
                    <table>\n<tr>v<br>\n</table>\n<br>\nfull flags configurable<br>\n</body>\n</html>\n";
        return typed(StatusCode::OK, "text/html; charset=utf-8", page);
    }
    if request.method() != Method::PUT {
        return text(StatusCode::NOT_ACCEPTABLE, "unsupported http method\n");
    }
    let body = match Limited::new(request.into_body(), MOST).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return text(StatusCode::BAD_REQUEST, format!("error reading request body: {error}\n")),
    };
    let wanted = String::from_utf8_lossy(&body);
    match wanted.trim().parse::<u32>() {
        // Levels above 10 do not log more.
        Ok(verbosity) if set_verbosity(u8::try_from(verbosity).unwrap_or(u8::MAX)) => {
            tracing::info!(verbosity, "log verbosity changed");
            text(StatusCode::OK, format!("successfully set klog.logging.verbosity to {}\n", wanted.trim()))
        }
        Ok(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "nothing is logged\n"),
        Err(error) => {
            text(StatusCode::BAD_REQUEST, format!("failed set klog.logging.verbosity {}: {error}\n", wanted.trim()))
        }
    }
}
