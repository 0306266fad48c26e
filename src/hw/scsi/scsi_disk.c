#include "hw/scsi/scsi.h"
void scsi_disk_command(ScsiRequest *r) { scsi_end(r, SENSE_BAD_OPCODE); }
