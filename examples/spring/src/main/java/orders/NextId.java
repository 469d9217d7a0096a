package orders;

import java.time.Duration;

import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.springframework.boot.CommandLineRunner;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.context.annotation.Bean;
import org.springframework.kafka.config.ConcurrentKafkaListenerContainerFactory;
import org.springframework.kafka.config.TopicBuilder;
import org.springframework.kafka.core.ProducerFactory;
import org.springframework.kafka.requestreply.ReplyingKafkaTemplate;

/** Asks for an ID of the sequence that its argument names, and prints it. */
@SpringBootApplication
public class NextId {
    public static void main(String[] args) {
        SpringApplication.run(NextId.class, args).close();
    }

    @Bean
    NewTopic replies() {
        return TopicBuilder.name("orders.reply").build();
    }

    @Bean
    ReplyingKafkaTemplate<String, String, Reply> sequencer(ProducerFactory<String, String> producers,
            ConcurrentKafkaListenerContainerFactory<String, Reply> containers) {
        return new ReplyingKafkaTemplate<>(producers, containers.createContainer("orders.reply"));
    }

    @Bean
    CommandLineRunner ask(ReplyingKafkaTemplate<String, String, Reply> sequencer) {
        return args -> {
            sequencer.waitForAssignment(Duration.ofSeconds(10));
            var request = new ProducerRecord<String, String>("sequencer.requests", args[0], null);
            Reply reply = sequencer.sendAndReceive(request).get().value();
            if (reply.error() != null) {
                throw new IllegalArgumentException(reply.error().message());
            }
            System.out.println(reply.first());
        };
    }
}
