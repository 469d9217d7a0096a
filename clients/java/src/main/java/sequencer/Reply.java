package sequencer;

import java.util.Map;

import org.springframework.boot.json.JsonParseException;
import org.springframework.boot.json.JsonParser;
import org.springframework.boot.json.JsonParserFactory;

/** Reads the body of a reply. */
final class Reply {
    private static final JsonParser JSON = JsonParserFactory.getJsonParser();

    private Reply() {
    }

    /**
     * The numbers of a reply.
     *
     * @throws RefusedException    if it has an error
     * @throws UnansweredException if it is not valid
     */
    static Ids read(String sequence, String requestId, String body) {
        Map<String, Object> fields;
        try {
            fields = JSON.parseMap(body);
        } catch (JsonParseException error) {
            throw new UnansweredException("the reply is not JSON", requestId, error);
        }
        if (fields.get("error") instanceof Map<?, ?> error) {
            throw new RefusedException(String.valueOf(error.get("code")), String.valueOf(error.get("message")), requestId);
        }
        if (fields.get("first") instanceof Number first && fields.get("last") instanceof Number last
                && fields.get("count") instanceof Number count) {
            long increment = fields.get("increment") instanceof Number step ? step.longValue() : 1;
            return new Ids(sequence, first.longValue(), last.longValue(), count.longValue(), increment, requestId);
        }
        throw new UnansweredException("the reply has no numbers", requestId, null);
    }
}
