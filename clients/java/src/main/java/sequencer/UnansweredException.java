package sequencer;

/** No reply came in time. A number may be taken, now or later: repeat the request soon with its request ID. */
public final class UnansweredException extends SequencerException {
    UnansweredException(String reason, String requestId, Throwable cause) {
        super(reason + "; a number may be taken: repeat the request soon with its request ID", requestId, cause);
    }
}
