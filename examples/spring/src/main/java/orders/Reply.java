package orders;

/** The body of a reply: IDs or an error. */
public record Reply(String sequence, Long first, Long last, Failure error) {
    public record Failure(String code, String message) {
    }
}
