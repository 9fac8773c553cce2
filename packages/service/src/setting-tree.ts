import { z } from 'zod';
import { configSchema } from './config-schema.js';

/** The configuration schema as JSON Schema: what messages, template and reference are made from. */
export interface SettingNode {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly string[];
  readonly items?: SettingNode;
  /** Named settings of a group. */
  readonly properties?: Readonly<Record<string, SettingNode>>;
  /** What stands under names of the user's own; false for a group of named settings. */
  readonly additionalProperties?: SettingNode | boolean;
  readonly anyOf?: readonly SettingNode[];
  readonly required?: readonly string[];
}

export function readSettingTree(): SettingNode {
  return z.toJSONSchema(configSchema, { io: 'input' }) as SettingNode;
}

/** The node of one setting, or of any entry of a group whose names are the user's; an empty one when there is none. */
export function descendSettings(node: SettingNode, name: PropertyKey): SettingNode {
  const found = node.properties?.[String(name)] ?? entryNode(node) ?? {};
  const group = found.anyOf?.find((option) => option.properties !== undefined);
  return group === undefined
    ? found
    : { ...group, ...(found.description === undefined ? {} : { description: found.description }) };
}

/** What stands under each name of a group whose names are the user's. */
export function entryNode(node: SettingNode): SettingNode | undefined {
  return typeof node.additionalProperties === 'object' ? node.additionalProperties : undefined;
}
