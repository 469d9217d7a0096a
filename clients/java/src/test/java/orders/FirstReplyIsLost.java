package orders;

import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

import org.apache.kafka.clients.producer.ProducerInterceptor;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;

/** Gives the first request of some sequences a correlation that nobody waits for. */
public class FirstReplyIsLost implements ProducerInterceptor<Object, Object> {
    static final Set<String> SEQUENCES = ConcurrentHashMap.newKeySet();
    private static final String CORRELATION = "kafka_correlationId";

    @Override
    public ProducerRecord<Object, Object> onSend(ProducerRecord<Object, Object> request) {
        if (SEQUENCES.remove(String.valueOf(request.key()))) {
            request.headers().remove(CORRELATION);
            request.headers().add(CORRELATION, new byte[16]);
        }
        return request;
    }

    @Override
    public void onAcknowledgement(RecordMetadata written, Exception error) {
    }

    @Override
    public void close() {
    }

    @Override
    public void configure(Map<String, ?> settings) {
    }
}
