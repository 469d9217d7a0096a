package orders;

import jakarta.persistence.Entity;
import jakarta.persistence.Id;

import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.data.jpa.repository.JpaRepository;
import org.springframework.data.jpa.repository.config.EnableJpaRepositories;

import sequencer.hibernate.SequencerId;

/** An application that has the starter. */
@SpringBootApplication
@EnableJpaRepositories(considerNestedRepositories = true)
class Orders {
    @Entity
    static class Invoice {
        @Id
        @SequencerId("starter-invoices")
        Long number;
    }

    @Entity
    static class Receipt {
        @Id
        @SequencerId("starter-receipts")
        String number;
    }

    interface Invoices extends JpaRepository<Invoice, Long> {
    }

    interface Receipts extends JpaRepository<Receipt, String> {
    }
}
