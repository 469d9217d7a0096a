package sequencer.hibernate;

import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;

import org.hibernate.annotations.IdGeneratorType;

/** The field is numbered by a sequence of Sequencer. Its type is {@code long}, {@code int}, their boxes, or String. */
@IdGeneratorType(SequencerIdGenerator.class)
@Retention(RetentionPolicy.RUNTIME)
@Target({ElementType.FIELD, ElementType.METHOD})
public @interface SequencerId {
    /** The name of the sequence. */
    String value();
}
