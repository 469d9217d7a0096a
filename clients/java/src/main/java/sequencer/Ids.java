package sequencer;

import java.util.stream.LongStream;

/**
 * Numbers of one sequence, in the order in which they count.
 *
 * @param sequence  the name of the sequence
 * @param first     the first number
 * @param last      the last number
 * @param count     how many there are
 * @param increment the step from one number to the next
 * @param requestId the request ID, given or drawn
 */
public record Ids(String sequence, long first, long last, long count, long increment, String requestId) {
    /** Each of the numbers. */
    public LongStream stream() {
        return LongStream.range(0, count).map(step -> first + step * increment);
    }
}
