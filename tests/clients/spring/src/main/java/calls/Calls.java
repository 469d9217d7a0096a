package calls;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

import org.apache.kafka.clients.producer.ProducerRecord;
import org.springframework.boot.CommandLineRunner;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.context.annotation.Bean;
import org.springframework.kafka.config.ConcurrentKafkaListenerContainerFactory;
import org.springframework.kafka.core.ConsumerFactory;
import org.springframework.kafka.core.ProducerFactory;
import org.springframework.kafka.listener.ContainerProperties;
import org.springframework.kafka.listener.KafkaMessageListenerContainer;
import org.springframework.kafka.requestreply.ReplyingKafkaTemplate;
import org.springframework.kafka.requestreply.RequestReplyFuture;
import org.springframework.kafka.support.TopicPartitionOffset;

import orders.Reply;

/** 100 calls at once, one that fails, and ten whose answers must come to one partition. */
@SpringBootApplication
public class Calls {
    private static final int PARTITION = 3;

    public static void main(String[] args) {
        SpringApplication.run(Calls.class, args).close();
    }

    @Bean
    ReplyingKafkaTemplate<String, String, Reply> sequencer(ProducerFactory<String, String> producers,
            ConcurrentKafkaListenerContainerFactory<String, Reply> containers) {
        var template = new ReplyingKafkaTemplate<String, String, Reply>(producers,
                containers.createContainer("orders.reply"));
        template.setSharedReplyTopic(true);
        return template;
    }

    @Bean
    ReplyingKafkaTemplate<String, String, Reply> pinned(ProducerFactory<String, String> producers,
            ConsumerFactory<String, Reply> consumers) {
        var properties = new ContainerProperties(new TopicPartitionOffset("orders.reply", PARTITION));
        properties.setGroupId("orders-pinned");
        var container = new KafkaMessageListenerContainer<>(consumers, properties);
        var template = new ReplyingKafkaTemplate<String, String, Reply>(producers, container);
        template.setSharedReplyTopic(true);
        return template;
    }

    @Bean
    CommandLineRunner run(ReplyingKafkaTemplate<String, String, Reply> sequencer,
            ReplyingKafkaTemplate<String, String, Reply> pinned) {
        return args -> {
            sequencer.waitForAssignment(Duration.ofSeconds(30));
            pinned.waitForAssignment(Duration.ofSeconds(30));
            List<RequestReplyFuture<String, String, Reply>> futures = new ArrayList<>();
            for (int call = 0; call < 111; call++) {
                var template = call > 100 ? pinned : sequencer;
                var request = new ProducerRecord<String, String>("sequencer.requests",
                        args[0] + "-" + call % 5, call == 100 ? "{\"count\":0}" : null);
                futures.add(template.sendAndReceive(request, Duration.ofSeconds(60)));
            }
            for (int call = 0; call < futures.size(); call++) {
                Reply reply = futures.get(call).get().value();
                System.out.println(reply.error() != null
                        ? "{\"call\":%d,\"error\":\"%s\"}".formatted(call, reply.error().code())
                        : "{\"call\":%d,\"name\":\"%s\",\"first\":%d,\"last\":%d}".formatted(call,
                                reply.sequence(), reply.first(), reply.last()));
            }
        };
    }
}
