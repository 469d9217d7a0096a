package orders;

import java.util.UUID;

import org.eclipse.microprofile.reactive.messaging.Channel;
import org.eclipse.microprofile.reactive.messaging.Message;

import io.quarkus.runtime.QuarkusApplication;
import io.quarkus.runtime.annotations.QuarkusMain;
import io.smallrye.mutiny.Uni;
import io.smallrye.reactive.messaging.kafka.api.OutgoingKafkaRecordMetadata;
import io.smallrye.reactive.messaging.kafka.reply.KafkaRequestReply;
import io.smallrye.reactive.messaging.kafka.reply.KafkaRequestReplyTimeoutException;
import jakarta.inject.Inject;

/** Asks for an ID of the sequence that its argument names, and prints it. */
@QuarkusMain
public class NextId implements QuarkusApplication {
    @Inject
    @Channel("sequencer")
    KafkaRequestReply<String, Reply> sequencer;

    @Override
    public int run(String... args) {
        var key = OutgoingKafkaRecordMetadata.<String>builder().withKey(args[0]).build();
        var body = "{\"request_id\":\"%s\"}".formatted(UUID.randomUUID());
        // The client looks out for an answer only when its request is acknowledged, and ignores one that
        // was quicker. Sent again under the same request_id, the request gets the same ID.
        Reply reply = Uni.createFrom().deferred(() -> sequencer.request(Message.of(body).addMetadata(key)))
                .onFailure(KafkaRequestReplyTimeoutException.class).retry().atMost(5)
                .await().indefinitely().getPayload();
        if (reply.error() != null) {
            System.err.println(reply.error().message());
            return 1;
        }
        System.out.println(reply.first());
        return 0;
    }
}
