package orders;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;

import io.quarkus.kafka.client.serialization.ObjectMapperDeserializer;

/** The body of a reply: IDs or an error. */
@JsonIgnoreProperties(ignoreUnknown = true)
public record Reply(String sequence, Long first, Long last, Failure error) {
    public record Failure(String code, String message) {
    }

    public static class Deserializer extends ObjectMapperDeserializer<Reply> {
        public Deserializer() {
            super(Reply.class);
        }
    }
}
