package calls;

import java.util.ArrayList;
import java.util.List;

import org.eclipse.microprofile.reactive.messaging.Channel;
import org.eclipse.microprofile.reactive.messaging.Message;

import io.quarkus.runtime.QuarkusApplication;
import io.quarkus.runtime.annotations.QuarkusMain;
import io.smallrye.mutiny.Uni;
import io.smallrye.reactive.messaging.kafka.api.OutgoingKafkaRecordMetadata;
import io.smallrye.reactive.messaging.kafka.reply.KafkaRequestReply;
import io.smallrye.reactive.messaging.kafka.reply.KafkaRequestReplyTimeoutException;
import jakarta.inject.Inject;

import orders.Reply;

/** 100 calls at once, one that fails, and ten whose answers must come to one partition. */
@QuarkusMain(name = "calls")
public class Calls implements QuarkusApplication {
    @Inject
    @Channel("sequencer")
    KafkaRequestReply<String, Reply> sequencer;

    @Inject
    @Channel("pinned")
    KafkaRequestReply<String, Reply> pinned;

    @Override
    public int run(String... args) {
        List<Uni<String>> lines = new ArrayList<>();
        for (int i = 0; i < 111; i++) {
            int call = i;
            var key = OutgoingKafkaRecordMetadata.<String>builder().withKey(args[0] + "-" + call % 5).build();
            var channel = call > 100 ? pinned : sequencer;
            var body = "{\"count\":%d,\"request_id\":\"%d\"}".formatted(call == 100 ? 0 : 1, call);
            // The client looks out for an answer only when its request is acknowledged, and ignores one
            // that was quicker. Sent again under the same request_id, the request gets the same ID.
            lines.add(Uni.createFrom().deferred(() -> channel.request(Message.of(body).addMetadata(key)))
                    .onFailure(KafkaRequestReplyTimeoutException.class).retry().atMost(5)
                    .map(message -> line(call, message.getPayload())));
        }
        Uni.join().all(lines).andCollectFailures().await().indefinitely().forEach(System.out::println);
        return 0;
    }

    private static String line(int call, Reply reply) {
        return reply.error() != null
                ? "{\"call\":%d,\"error\":\"%s\"}".formatted(call, reply.error().code())
                : "{\"call\":%d,\"name\":\"%s\",\"first\":%d,\"last\":%d}".formatted(call, reply.sequence(),
                        reply.first(), reply.last());
    }
}
