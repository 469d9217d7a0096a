package sequencer;

/** The service refused the request. A repeat would be refused as well. */
public final class RefusedException extends SequencerException {
    private final String code;

    RefusedException(String code, String message, String requestId) {
        super(code + ": " + message, requestId, null);
        this.code = code;
    }

    /** The stable error code, such as {@code invalid_count}: see the list of errors in the documentation. */
    public String code() {
        return code;
    }
}
