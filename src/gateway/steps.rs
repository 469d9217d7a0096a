//! The steps of a call: a look at the sequence if its state matters, then a record and its reply, or a search.

use super::app::App;
use super::call::answer::{self, Looked};
use super::call::key::Key;
use super::call::problem::{Own, Problem};
use super::call::{Call, Op};
use super::callers::Caller;
use super::spans::CallSpan;
use crate::core::Code;
use crate::kafka::calls::{End, Fate, Places, Request as Record};
use crate::wire::request::DESCRIBE;

impl App {
    /// Carries a call out, and returns the body of its answer.
    pub(super) async fn carry_out(
        &self,
        call: &Call,
        key: &Key,
        span: &CallSpan,
        caller: Option<&Caller>,
        places: Places,
    ) -> Result<Vec<u8>, Problem> {
        if let Some(obstacle) = self.obstacle() {
            let detail = format!("{obstacle}. Nothing was written");
            return Err(Problem::own(Own::NotReady, detail).about(&call.name));
        }
        let mut places = places;
        if call.looks_first() {
            if let Looked::Done(body) = self.look(call, span, places).await? {
                return Ok(body);
            }
            places = self.places(caller)?;
        }
        if call.op == Op::Trace {
            return self.trace(call, places).await;
        }
        let value = &call.value(key, caller.map(|caller| caller.name.as_str()));
        let answered = match self.ask(call, value, span, places).await {
            End::Reply { body, .. } => answer::of_reply(call, &body),
            End::NoReply { fate, reason } => Err(answer::without_reply(call, &fate, &reason)),
        };
        match answered {
            // Another client may have defined the sequence since the look.
            Err(problem)
                if call.defines_if_unknown()
                    && problem.code == Code::InvalidDefinition.as_str() =>
            {
                let places = self.places(caller)?;
                match self.look(call, span, places).await {
                    Ok(Looked::Done(body)) => Ok(body),
                    _ => Err(problem),
                }
            }
            answered => answered,
        }
    }

    /// Asks for the state of the sequence, and decides how the call goes on.
    async fn look(&self, call: &Call, span: &CallSpan, places: Places) -> Result<Looked, Problem> {
        match self.ask(call, DESCRIBE, span, places).await {
            End::Reply { body, .. } => answer::looked(call, &body),
            // This is the look. The record of the call itself was not written.
            End::NoReply { reason, .. } => {
                let unwritten =
                    Fate::Unwritten(format!("the sequence was looked at first, and {reason}"));
                Err(answer::without_reply(call, &unwritten, &reason))
            }
        }
    }

    /// Writes a record and waits for its reply.
    async fn ask(&self, call: &Call, value: &[u8], span: &CallSpan, places: Places) -> End {
        let write = span.write();
        let record = Record {
            name: &call.name,
            value,
            traceparent: write.traceparent(),
            tracestate: write.tracestate(),
        };
        let end = ended(self.0.calls.call(record, places).await);
        write.end(&end);
        end
    }

    /// Searches the ledger. Holds `places` until the end.
    async fn trace(&self, call: &Call, _places: Places) -> Result<Vec<u8>, Problem> {
        let id = call.id.unwrap_or_default().to_string();
        let failed = |reason: String| {
            let detail = format!("the ledger was not searched to the end: {reason}");
            Problem::own(Own::TraceFailed, detail).about(&call.name)
        };
        let found = self.0.tracer.trace(&call.name, &id).await;
        let mut body = serde_json::to_vec(&found.map_err(failed)?)
            .map_err(|error| failed(error.to_string()))?;
        body.push(b'\n');
        Ok(body)
    }
}

/// Treats a call whose sender was dropped as a call with an unknown fate.
fn ended<E>(end: Result<End, E>) -> End {
    end.unwrap_or_else(|_| End::NoReply {
        fate: Fate::Unreported,
        reason: "the gateway lost the call".to_owned(),
    })
}
