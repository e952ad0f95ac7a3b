use super::*;

#[test]
fn memory_that_is_short_is_not_the_templates_fault() {
    for (why, fault) in [
        ("load of migration failed: Invalid argument", Fault::Memory),
        ("cannot set up guest memory 'pc.ram': Cannot allocate memory", Fault::Here),
        ("write: No space left on device", Fault::Here),
    ] {
        assert_eq!(Unusable::refused(LibvirtError::answered(why)).fault, fault, "{why}");
    }
}
