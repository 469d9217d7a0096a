package sequencer.spring;

import org.springframework.boot.autoconfigure.AutoConfiguration;
import org.springframework.boot.autoconfigure.condition.ConditionalOnMissingBean;
import org.springframework.boot.autoconfigure.condition.ConditionalOnSingleCandidate;
import org.springframework.boot.context.properties.EnableConfigurationProperties;
import org.springframework.boot.kafka.autoconfigure.KafkaAutoConfiguration;
import org.springframework.context.annotation.Bean;
import org.springframework.kafka.core.ConsumerFactory;
import org.springframework.kafka.core.ProducerFactory;

import sequencer.SequencerProperties;
import sequencer.SequencerTemplate;

/** Makes a {@link SequencerTemplate} with the connection settings of {@code spring.kafka.*}. */
@AutoConfiguration(after = KafkaAutoConfiguration.class)
@EnableConfigurationProperties(SequencerProperties.class)
public class SequencerAutoConfiguration {
    @Bean
    @ConditionalOnMissingBean
    @ConditionalOnSingleCandidate(ProducerFactory.class)
    SequencerTemplate sequencerTemplate(ProducerFactory<?, ?> producers, ConsumerFactory<?, ?> consumers,
            SequencerProperties properties) {
        return new SequencerTemplate(producers.getConfigurationProperties(), consumers.getConfigurationProperties(),
                properties);
    }
}
