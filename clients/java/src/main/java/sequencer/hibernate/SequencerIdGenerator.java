package sequencer.hibernate;

import java.lang.reflect.Member;
import java.util.EnumSet;

import org.hibernate.MappingException;
import org.hibernate.engine.spi.SharedSessionContractImplementor;
import org.hibernate.generator.AnnotationBasedGenerator;
import org.hibernate.generator.BeforeExecutionGenerator;
import org.hibernate.generator.EventType;
import org.hibernate.generator.EventTypeSets;
import org.hibernate.generator.GeneratorCreationContext;

import sequencer.SequencerTemplate;

/** Takes a number for each entity that is new. Hibernate has Spring make it, as a bean. */
public class SequencerIdGenerator implements BeforeExecutionGenerator, AnnotationBasedGenerator<SequencerId> {
    private final SequencerTemplate template;
    private String sequence;
    private Class<?> type;

    SequencerIdGenerator(SequencerTemplate template) {
        this.template = template;
    }

    @Override
    public void initialize(SequencerId annotation, Member member, GeneratorCreationContext context) {
        sequence = annotation.value();
        type = context.getType().getReturnedClass();
        // A type that cannot be numbered is refused now, and not when the first number is taken.
        convert(0);
    }

    @Override
    public Object generate(SharedSessionContractImplementor session, Object owner, Object current, EventType event) {
        return convert(template.next(sequence));
    }

    @Override
    public EnumSet<EventType> getEventTypes() {
        return EventTypeSets.INSERT_ONLY;
    }

    private Object convert(long number) {
        if (type == Long.class || type == long.class) {
            return number;
        }
        if (type == Integer.class || type == int.class) {
            return Math.toIntExact(number);
        }
        if (type == String.class) {
            return Long.toString(number);
        }
        throw new MappingException("@SequencerId does not number a field of type " + type.getName());
    }
}
