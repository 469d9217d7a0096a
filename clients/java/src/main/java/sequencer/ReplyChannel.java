package sequencer;

import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ThreadLocalRandom;

import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.springframework.kafka.core.DefaultKafkaConsumerFactory;
import org.springframework.kafka.core.DefaultKafkaProducerFactory;
import org.springframework.kafka.listener.ContainerProperties;
import org.springframework.kafka.listener.KafkaMessageListenerContainer;
import org.springframework.kafka.requestreply.ReplyingKafkaTemplate;
import org.springframework.kafka.support.TopicPartitionOffset;

/** A {@link ReplyingKafkaTemplate} whose replies come to one partition, read without a group. */
final class ReplyChannel implements AutoCloseable {
    private final DefaultKafkaProducerFactory<String, String> producers;
    final ReplyingKafkaTemplate<String, String, String> template;

    ReplyChannel(Map<String, Object> producer, Map<String, Object> consumer, SequencerProperties properties) {
        var consumers = new DefaultKafkaConsumerFactory<>(forReplies(consumer, properties), new StringDeserializer(),
                new StringDeserializer());
        var place = new ContainerProperties(end(consumers, properties));
        producers = new DefaultKafkaProducerFactory<>(forRequests(producer, properties), new StringSerializer(),
                new StringSerializer());
        template = new ReplyingKafkaTemplate<>(producers, new KafkaMessageListenerContainer<>(consumers, place));
        // Replies to other applications, and to earlier runs of this one, are none of ours.
        template.setSharedReplyTopic(true);
        template.afterPropertiesSet();
        template.start();
    }

    /**
     * The end of a partition of the reply topic. It is known before the first request is sent, so that no reply is
     * missed.
     */
    private static TopicPartitionOffset end(DefaultKafkaConsumerFactory<String, String> consumers,
            SequencerProperties properties) {
        Duration timeout = properties.attemptTimeout();
        try (var consumer = consumers.createConsumer()) {
            var partitions = consumer.partitionsFor(properties.replyTopic(), timeout);
            if (partitions == null || partitions.isEmpty()) {
                throw new IllegalStateException("there is no topic " + properties.replyTopic());
            }
            // By chance, so that the instances of an application share the partitions out.
            int chosen = ThreadLocalRandom.current().nextInt(partitions.size());
            var partition = new TopicPartition(properties.replyTopic(), partitions.get(chosen).partition());
            long end = consumer.endOffsets(List.of(partition), timeout).get(partition);
            return new TopicPartitionOffset(partition.topic(), partition.partition(), end);
        }
    }

    private static Map<String, Object> forRequests(Map<String, Object> producer, SequencerProperties properties) {
        var settings = new HashMap<>(producer);
        settings.put(ProducerConfig.ACKS_CONFIG, "all");
        // A request in a transaction would wait for the commit, and the commit for the number.
        settings.remove(ProducerConfig.TRANSACTIONAL_ID_CONFIG);
        settings.put(ProducerConfig.LINGER_MS_CONFIG, 0);
        int attemptMs = Math.toIntExact(properties.attemptTimeout().toMillis());
        settings.put(ProducerConfig.MAX_BLOCK_MS_CONFIG, attemptMs);
        settings.put(ProducerConfig.REQUEST_TIMEOUT_MS_CONFIG, attemptMs);
        // A record that is sent after this would take a number that nobody waits for.
        settings.put(ProducerConfig.DELIVERY_TIMEOUT_MS_CONFIG,
                Math.max(attemptMs, Math.toIntExact(properties.timeout().toMillis())));
        return settings;
    }

    private static Map<String, Object> forReplies(Map<String, Object> consumer, SequencerProperties properties) {
        var settings = new HashMap<>(consumer);
        settings.remove(ConsumerConfig.GROUP_ID_CONFIG);
        settings.remove(ConsumerConfig.GROUP_INSTANCE_ID_CONFIG);
        settings.put(ConsumerConfig.ENABLE_AUTO_COMMIT_CONFIG, false);
        // A reply topic that a mistyped setting names must not come into being.
        settings.put(ConsumerConfig.ALLOW_AUTO_CREATE_TOPICS_CONFIG, false);
        settings.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "latest");
        // A reply in an aborted transaction is right as well, and an open one of others would hold it back.
        settings.put(ConsumerConfig.ISOLATION_LEVEL_CONFIG, "read_uncommitted");
        return settings;
    }

    @Override
    public void close() {
        template.stop();
        template.destroy();
        producers.destroy();
    }
}
