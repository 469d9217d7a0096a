package sequencer;

/** A request gave no number. */
public abstract sealed class SequencerException extends RuntimeException permits RefusedException, UnansweredException {
    private final String requestId;

    SequencerException(String message, String requestId, Throwable cause) {
        super(message, cause);
        this.requestId = requestId;
    }

    /** The request ID, given or drawn. A repeat with it gets the number that this request may have taken. */
    public String requestId() {
        return requestId;
    }
}
