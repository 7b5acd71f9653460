//! The listener's certificate, the audit file, limits, timeouts, sessions and traces.

use super::super::decode::section;
use super::super::values::{Count, Fraction, Period, Rate, SecretText, Size, choice};

section! {
    /// The listener's certificate. Both files are read again when the configuration is reloaded.
    Tls {
        /// Certificate chain, PEM, the server's own certificate first.
        cert, required: String;
        /// Private key, PEM.
        key, required: String;
    }
}

choice! {
    /// Said when a listener is meant to be reached without TLS.
    pub(crate) Plaintext {
        /// Something in front of it ends TLS.
        "accepted" => Accepted,
    }
}

section! {
    /// One JSON object a line for every request; see the guide for its fields.
    Audit {
        /// The file, opened for appending and opened again on SIGHUP. `-` is standard output. Default: `-`.
        file: String;
        /// What of a call's arguments is written: `digest` (SHA-256 of their text: whoever has the log can try guesses),
        /// `names` (their names), or `full`.
        /// Default: `digest`.
        arguments: ArgumentDetail;
        /// `batch`: lines are written together, at most 5 ms late. `before_answer`: a caller gets an answer when its
        /// line is on disk. Default: `batch`.
        flush: Flush;
        /// When lines cannot be written: `deny` refuses calls until they can, `continue` counts what is lost.
        /// Default: `deny`.
        on_failure: OnFailure;
    }
}

choice! {
    /// What of a call's arguments is written.
    pub ArgumentDetail {
        /// A hash.
        "digest" => Digest,
        /// The names, without values.
        "names" => Names,
        /// Everything.
        "full" => Full,
    }
}

choice! {
    /// When audit lines are written.
    pub Flush {
        /// Together, at most 5 ms late.
        "batch" => Batch,
        /// Each before its answer.
        "before_answer" => BeforeAnswer,
    }
}

choice! {
    /// What happens to calls when audit lines cannot be written.
    pub OnFailure {
        /// They are refused.
        "deny" => Deny,
        /// They are served, and the loss is counted.
        "continue" => Continue,
    }
}

section! {
    /// Limits. Whoever is over one is told so, with the time to wait where there is one.
    Limits {
        /// Largest body of a request. Default: `4MiB`.
        body: Size;
        /// Largest answer that has to be read whole to be filtered (lists). Others stream. Default: `16MiB`.
        list: Size;
        /// Calls of one caller, refused ones included. Default: no limit.
        per_caller: Rate;
        /// Streams that one caller may have open. Default: `64`.
        streams_per_caller: Count;
        /// Connections to the listener. Default: `16384`.
        connections: Count;
        /// Credentials kept in memory. Default: `50000`.
        credentials: Count;
    }
}

section! {
    /// How long the gateway waits.
    Timeouts {
        /// For a client to send a request's head, from its connection or its last answer on: idle connections are kept
        /// for as long. Keep it above what a load balancer in front keeps its own. Default: `75s`.
        head: Period;
        /// For a client to send a request's body. Default: `30s`.
        body: Period;
        /// For a connection to an MCP server. Default: `5s`.
        connect: Period;
        /// For the head of an MCP server's answer: the time that a tool may think in silence. Default: `2m`.
        answer: Period;
        /// Between two pieces of an answer or events of a stream, and for the caller to take one. Default: `15m`.
        idle: Period;
        /// For a whole answer or stream. Default: `24h`; a stream ends with the caller's token anyway.
        total: Period;
        /// Silence after which a comment is sent on a stream, so that proxies in between keep it open. Default: `15s`.
        keep_alive: Period;
        /// For a token endpoint, retries included. Default: `10s`.
        token_endpoint: Period;
        /// For calls in flight when the gateway stops. Default: `30s`.
        drain: Period;
    }
}

section! {
    /// Sessions of MCP revisions up to 2025-11-25. Their identifiers are sealed, not stored.
    Sessions {
        /// 32 bytes in base64, by reference (`openssl rand -base64 32`). Replicas share it, so that each can open what
        /// another sealed. Default: made at start, so that sessions end with the process.
        key: SecretText;
    }
}

section! {
    /// OpenTelemetry.
    Telemetry {
        /// OTLP endpoint for traces, over HTTP (`http://127.0.0.1:4318`). Default: none.
        otlp: String;
        /// Share of requests that are traced when the caller did not decide it. Default: `1`.
        sample: Fraction;
        /// Accepts plain http for an endpoint that is not on this machine. Default: `false`.
        allow_http: bool;
    }
}
